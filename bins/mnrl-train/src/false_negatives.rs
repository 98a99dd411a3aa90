//! Which rows of a batch must not be each other's negatives, because their texts, ids or groups say that they match.

use std::collections::HashMap;
use std::ops::Range;

use embtune_tensors::Hashes;

use crate::loss::Direction;

/// The false negatives of a batch, kept as the hashes that rows share and not as a matrix: 8,192 pairs would have
/// 134 million entries.
///
/// Pairs with the same anchor text are one query. To a query belong its text, and the text, document id and group of
/// each of its positives. Then
/// - a document is no negative of a query that it is a positive of, or that one of its hashes belongs to;
/// - two queries are no negatives of each other when a hash belongs to both;
/// - a pair's positive and another document are no negatives of each other when the document is no negative of the
///   pair's query, or is the positive of a query that is no negative of it.
#[derive(Debug, Default)]
pub(crate) struct FalseNegatives {
    index: Option<Index>,
    count: u64,
}

#[derive(Debug)]
struct Index {
    /// Query of each pair.
    queries: Vec<u32>,
    query_pairs: Lists,
    query_keys: Lists,
    key_queries: Lists,
    document_keys: Lists,
    key_documents: Lists,
}

/// What a hash is of: hashes of different kinds are never compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Text,
    Document,
    Group,
}

impl FalseNegatives {
    /// No false negatives: every row counts.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// The false negatives among rows with these hashes; a hash of 0 is unknown and equals nothing.
    ///
    /// # Shapes
    /// - `anchors`: `[pairs]`; of an anchor only the text counts
    /// - `documents`: `[documents]`; document `i` is the positive of anchor `i`, the rest are negatives
    pub(crate) fn find(anchors: &[Hashes], documents: &[Hashes]) -> Self {
        let mut keys = Keys::default();
        let mut query_of = HashMap::new();
        let (mut queries, mut query_keys) = (Vec::new(), Vec::new());
        let mut query_count = 0;
        let document_keys: Vec<(u32, u32)> = (0..)
            .zip(documents)
            .flat_map(|(document, hashes)| keys.of(hashes).into_iter().flatten().map(move |key| (document, key)))
            .collect();
        for anchor in anchors {
            let text = keys.number(Kind::Text, anchor.text);
            let query = text.map_or(query_count, |key| *query_of.entry(key).or_insert(query_count));
            query_count = query_count.max(query + 1);
            query_keys.extend(text.map(|key| (query, key)));
            queries.push(query);
        }
        let of_positives = document_keys.iter().take_while(|(document, _)| (*document as usize) < anchors.len());
        query_keys.extend(of_positives.map(|(document, key)| (queries[*document as usize], *key)));
        query_keys.sort_unstable();
        query_keys.dedup();
        let pair_queries: Vec<_> = (0..).zip(queries.iter().copied()).collect();
        let index = Index {
            query_pairs: Lists::inverse(query_count as usize, &pair_queries),
            key_queries: Lists::inverse(keys.count(), &query_keys),
            query_keys: Lists::new(query_count as usize, &query_keys),
            key_documents: Lists::inverse(keys.count(), &document_keys),
            document_keys: Lists::new(documents.len(), &document_keys),
            queries,
        };
        let count = index.count(documents.len());
        Self { index: Some(index), count }
    }

    /// Number of pairs of an anchor and another pair's positive, or any negative, that are masked.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether a document, which is not the positive of this pair, is no negative of the pair's anchor.
    pub(crate) fn contains(&self, pair: usize, document: usize) -> bool {
        self.index.as_ref().is_some_and(|index| {
            let keys = index.query_keys.get(index.queries[pair]);
            index.document_keys.get(document as u32).iter().any(|key| keys.binary_search(key).is_ok())
        })
    }

    /// Sets the entries of false negatives, and says whether there are any. A row's own column (its positive, or
    /// itself) is left alone.
    ///
    /// # Shapes
    /// - `rows`: a range of pairs
    /// - `marks`: `[rows, columns]`, with a column for each pair at least; what lies beyond the columns is left out
    pub(crate) fn mark(&self, direction: Direction, rows: Range<usize>, columns: usize, marks: &mut [bool]) -> bool {
        let Some(index) = &self.index else { return false };
        let mut any = false;
        for (row, marks) in rows.zip(marks.chunks_exact_mut(columns)) {
            index.visit(direction, row, |column| {
                if column as usize != row
                    && let Some(mark) = marks.get_mut(column as usize)
                {
                    *mark = true;
                    any = true;
                }
            });
        }
        any
    }
}

impl Index {
    /// Calls `visit` with every false negative of a row, some more than once, and perhaps with the row itself.
    fn visit(&self, direction: Direction, row: usize, mut visit: impl FnMut(u32)) {
        let query = self.queries[row];
        let keys = self.query_keys.get(query);
        if matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument) {
            self.documents(query).for_each(&mut visit);
        }
        let keys = match direction {
            Direction::QueryToDocument => return,
            Direction::QueryToQuery | Direction::DocumentToDocument => keys,
            Direction::DocumentToQuery => self.document_keys.get(row as u32),
        };
        // Once each: a query with many positives shares many keys with itself.
        let mut queries: Vec<u32> = keys.iter().flat_map(|key| self.key_queries.get(*key)).copied().collect();
        queries.push(query);
        queries.sort_unstable();
        queries.dedup();
        queries.iter().flat_map(|query| self.query_pairs.get(*query)).copied().for_each(visit);
    }

    /// Documents that are no negatives of a query, some more than once.
    fn documents(&self, query: u32) -> impl Iterator<Item = u32> {
        let of_keys = self.query_keys.get(query).iter().flat_map(|key| self.key_documents.get(*key));
        of_keys.chain(self.query_pairs.get(query)).copied()
    }

    fn count(&self, documents: usize) -> u64 {
        // The query that a document was last counted for.
        let mut seen = vec![u32::MAX; documents];
        let mut count = 0;
        for query in 0..self.query_keys.len() {
            let mut matches = 0;
            for document in self.documents(query) {
                let seen = &mut seen[document as usize];
                matches += u64::from(*seen != query);
                *seen = query;
            }
            // Each pair's own positive is among the matches.
            count += (matches - 1) * self.query_pairs.get(query).len() as u64;
        }
        count
    }
}

/// Numbers the known hashes.
#[derive(Default)]
struct Keys(HashMap<(Kind, u64), u32>);

impl Keys {
    fn number(&mut self, kind: Kind, hash: u64) -> Option<u32> {
        let next = self.0.len() as u32;
        (hash != 0).then(|| *self.0.entry((kind, hash)).or_insert(next))
    }

    fn of(&mut self, hashes: &Hashes) -> [Option<u32>; 3] {
        [(Kind::Text, hashes.text), (Kind::Document, hashes.document), (Kind::Group, hashes.group)]
            .map(|(kind, hash)| self.number(kind, hash))
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}

/// A list of numbers for each number.
#[derive(Debug)]
struct Lists {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Lists {
    /// Lists `count` times the values of each index; the order of a list is that of the entries.
    fn new(count: usize, entries: &[(u32, u32)]) -> Self {
        Self::build(count, entries, |entry| entry)
    }

    /// Lists the indices of each value.
    fn inverse(count: usize, entries: &[(u32, u32)]) -> Self {
        Self::build(count, entries, |(index, value)| (value, index))
    }

    /// A counting sort.
    fn build(count: usize, entries: &[(u32, u32)], turn: impl Fn((u32, u32)) -> (u32, u32)) -> Self {
        let mut starts = vec![0; count + 1];
        for entry in entries {
            starts[turn(*entry).0 as usize + 1] += 1;
        }
        for list in 0..count {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut values = vec![0; entries.len()];
        for entry in entries {
            let (list, value) = turn(*entry);
            values[next[list as usize] as usize] = value;
            next[list as usize] += 1;
        }
        Self { starts, values }
    }

    fn len(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    fn get(&self, list: u32) -> &[u32] {
        let at = |list: u32| self.starts[list as usize] as usize;
        &self.values[at(list)..at(list + 1)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const DIRECTIONS: [Direction; 4] = [
        Direction::QueryToDocument,
        Direction::DocumentToQuery,
        Direction::QueryToQuery,
        Direction::DocumentToDocument,
    ];

    fn row(text: u64, document: u64, group: u64) -> Hashes {
        Hashes { text, document, group }
    }

    /// Entries of a direction, as row and column.
    fn entries(found: &FalseNegatives, direction: Direction, pairs: usize, columns: usize) -> Vec<(usize, usize)> {
        let mut marks = vec![false; pairs * columns];
        let any = found.mark(direction, 0..pairs, columns, &mut marks);
        assert_eq!(any, marks.contains(&true));
        (0..marks.len()).filter(|at| marks[*at]).map(|at| (at / columns, at % columns)).collect()
    }

    #[test]
    fn rows_that_share_nothing_are_negatives() {
        let anchors = [row(1, 0, 0), row(2, 0, 0)];
        // The same number in another place is another thing, and 0 is no hash.
        let documents = [row(3, 4, 0), row(5, 3, 4), row(6, 5, 3)];
        let found = FalseNegatives::find(&anchors, &documents);
        assert_eq!(found.count(), 0);
        for direction in DIRECTIONS {
            assert_eq!(entries(&found, direction, 2, 3), [], "{direction:?}");
        }
    }

    #[test]
    fn questions_about_one_document_are_no_negatives_of_each_other() {
        let anchors = [row(1, 0, 0), row(2, 0, 0), row(3, 0, 0)];
        for documents in [
            [row(4, 0, 0), row(5, 0, 0), row(4, 0, 0)],
            [row(4, 7, 0), row(5, 0, 0), row(6, 7, 0)],
            [row(4, 0, 7), row(5, 0, 0), row(6, 0, 7)],
        ] {
            let found = FalseNegatives::find(&anchors, &documents);
            for direction in DIRECTIONS {
                assert_eq!(entries(&found, direction, 3, 3), [(0, 2), (2, 0)], "{direction:?}");
            }
            assert_eq!(found.count(), 2);
        }
    }

    /// Pairs 0 and 2 have one question; document 4 is a copy of the answer of pair 2, document 3 a negative of pair 0.
    #[test]
    fn every_answer_to_a_question_is_an_answer_to_it_in_each_of_its_pairs() {
        let anchors = [row(1, 0, 0), row(2, 0, 0), row(1, 0, 0)];
        let documents = [row(4, 0, 0), row(5, 0, 0), row(6, 0, 0), row(7, 0, 0), row(6, 0, 0)];
        let found = FalseNegatives::find(&anchors, &documents);
        let of_documents = [(0, 2), (0, 4), (2, 0), (2, 4)];
        assert_eq!(entries(&found, Direction::QueryToDocument, 3, 5), of_documents);
        assert_eq!(entries(&found, Direction::DocumentToDocument, 3, 5), of_documents);
        for direction in [Direction::DocumentToQuery, Direction::QueryToQuery] {
            assert_eq!(entries(&found, direction, 3, 3), [(0, 2), (2, 0)], "{direction:?}");
        }
    }

    /// The question of pair 1 is the document of pair 0, as in data of duplicate questions.
    #[test]
    fn a_text_on_both_sides_is_one_row() {
        let anchors = [row(1, 0, 0), row(2, 0, 0)];
        let documents = [row(2, 0, 0), row(3, 0, 0)];
        let found = FalseNegatives::find(&anchors, &documents);
        assert_eq!(entries(&found, Direction::QueryToDocument, 2, 2), [(1, 0)]);
        assert_eq!(entries(&found, Direction::DocumentToQuery, 2, 2), [(0, 1)]);
        assert_eq!(entries(&found, Direction::QueryToQuery, 2, 2), [(0, 1), (1, 0)]);
        assert_eq!(entries(&found, Direction::DocumentToDocument, 2, 2), [(0, 1), (1, 0)]);
    }

    type Key = (u8, u64);

    fn keys(hashes: &Hashes) -> HashSet<Key> {
        let keys = [(0, hashes.text), (1, hashes.document), (2, hashes.group)];
        keys.into_iter().filter(|(_, hash)| *hash != 0).collect()
    }

    /// The rules, word for word, for one entry.
    fn matches(anchors: &[Hashes], documents: &[Hashes], direction: Direction, row: usize, column: usize) -> bool {
        let same = |a: usize, b: usize| a == b || (anchors[a].text != 0 && anchors[a].text == anchors[b].text);
        let belonging = |pair: usize| -> HashSet<Key> {
            let pairs = (0..anchors.len()).filter(|other| same(pair, *other));
            let text = Hashes { text: anchors[pair].text, ..Hashes::default() };
            pairs.flat_map(|pair| keys(&documents[pair])).chain(keys(&text)).collect()
        };
        let answers = |pair: usize, document: usize| {
            (document < anchors.len() && same(pair, document))
                || !belonging(pair).is_disjoint(&keys(&documents[document]))
        };
        let queries_match = |a: usize, b: usize| same(a, b) || !belonging(a).is_disjoint(&belonging(b));
        row != column
            && match direction {
                Direction::QueryToDocument => answers(row, column),
                Direction::DocumentToQuery => answers(column, row),
                Direction::QueryToQuery => queries_match(row, column),
                Direction::DocumentToDocument => {
                    answers(row, column) || (column < anchors.len() && queries_match(row, column))
                }
            }
    }

    fn hashes() -> impl Strategy<Value = Hashes> {
        (0..6_u64, 0..6_u64, 0..6_u64).prop_map(|(text, document, group)| row(text, document, group))
    }

    proptest! {
        #[test]
        fn lists_find_what_comparing_all_with_all_finds(
            rows in prop::collection::vec((hashes(), hashes()), 1..7),
            negatives in prop::collection::vec(hashes(), 0..5),
            at in any::<prop::sample::Index>(),
        ) {
            let (anchors, mut documents): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            documents.extend(negatives);
            let found = FalseNegatives::find(&anchors, &documents);
            for direction in DIRECTIONS {
                let to_documents = matches!(direction, Direction::QueryToDocument | Direction::DocumentToDocument);
                let columns = if to_documents { documents.len() } else { anchors.len() };
                let from = at.index(anchors.len());
                let mut marks = vec![false; (anchors.len() - from) * columns];
                found.mark(direction, from..anchors.len(), columns, &mut marks);
                for (place, mark) in marks.iter().enumerate() {
                    let (row, column) = (from + place / columns, place % columns);
                    let expected = matches(&anchors, &documents, direction, row, column);
                    prop_assert_eq!(*mark, expected, "{:?} {} {}", direction, row, column);
                }
            }
            let all = entries(&found, Direction::QueryToDocument, anchors.len(), documents.len());
            prop_assert_eq!(found.count(), all.len() as u64);
            for (pair, document) in (0..anchors.len()).flat_map(|pair| (anchors.len()..documents.len()).map(move |document| (pair, document))) {
                prop_assert_eq!(found.contains(pair, document), all.contains(&(pair, document)));
            }
        }
    }
}
