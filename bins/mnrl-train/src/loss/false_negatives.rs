//! False negatives: rows of a batch that must not be each other's negatives, because their texts, ids or groups show
//! that they match.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

use embtune_tensors::Hashes;

use super::Direction;

/// The false negatives of a batch, by default none, stored as the hashes that rows share instead of a matrix, which for
/// 8,192 pairs would have 134 million entries.
///
/// Pairs with the same anchor text are one query. A query owns its text, and the text, document id and group of each of
/// its positives. Then
/// - a document is not a negative of a query if it is one of its positives, or if the query owns one of its hashes;
/// - two queries are not negatives of each other if both own the same hash;
/// - a pair's positive and another document are not negatives of each other if the document is not a negative of the
///   pair's query, or is the positive of a query that is not a negative of the pair's query.
#[derive(Debug, Default)]
pub(crate) struct FalseNegatives {
    index: Option<Index>,
    /// Number of masked combinations of an anchor with another pair's positive or with any negative.
    pub(crate) count: u64,
}

#[derive(Debug)]
struct Index {
    /// The query of each pair.
    queries: Vec<u32>,
    query_pairs: Lists,
    query_keys: Lists,
    key_queries: Lists,
    document_keys: Lists,
    key_documents: Lists,
}

/// The kind of a hash; hashes of different kinds are never compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Text,
    Document,
    Group,
}

impl FalseNegatives {
    /// The false negatives among rows with these hashes; a hash of 0 is unknown and matches nothing.
    ///
    /// # Shapes
    /// - `anchors`: `[pairs]`; only the text of an anchor is used
    /// - `documents`: `[documents]`; document `i` is the positive of anchor `i`, the others are negatives
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
            key_queries: Lists::inverse(keys.0.len(), &query_keys),
            query_keys: Lists::new(query_count as usize, &query_keys),
            key_documents: Lists::inverse(keys.0.len(), &document_keys),
            document_keys: Lists::new(documents.len(), &document_keys),
            queries,
        };
        let count = index.count(documents.len());
        Self { index: Some(index), count }
    }

    /// Whether a document, other than the pair's own positive, is a false negative of the pair's anchor.
    pub(crate) fn contains(&self, pair: usize, document: usize) -> bool {
        self.index.as_ref().is_some_and(|index| {
            let keys = index.query_keys.get(index.queries[pair]);
            index.document_keys.get(document as u32).iter().any(|key| keys.binary_search(key).is_ok())
        })
    }

    /// Sets the entries of false negatives, and returns whether there are any. A row's own column (its positive, or
    /// itself) is not touched.
    ///
    /// # Shapes
    /// - `rows`: a range of pairs
    /// - `marks`: `[rows, columns]`, with at least one column per pair; entries beyond the columns are skipped
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
    /// Calls `visit` with every false negative of a row, with some more than once, and possibly with the row itself.
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
        // Without repetitions: a query with many positives shares many keys with itself.
        let mut queries: Vec<u32> = keys.iter().flat_map(|key| self.key_queries.get(*key)).copied().collect();
        queries.push(query);
        queries.sort_unstable();
        queries.dedup();
        queries.iter().flat_map(|query| self.query_pairs.get(*query)).copied().for_each(visit);
    }

    /// Documents that are not negatives of a query, some of them more than once.
    fn documents(&self, query: u32) -> impl Iterator<Item = u32> {
        let of_keys = self.query_keys.get(query).iter().flat_map(|key| self.key_documents.get(*key));
        of_keys.chain(self.query_pairs.get(query)).copied()
    }

    fn count(&self, documents: usize) -> u64 {
        // For each document, the query for which it was last counted.
        let mut seen = vec![u32::MAX; documents];
        let mut count = 0;
        for query in 0..self.query_keys.len() {
            let mut matches = 0;
            for document in self.documents(query) {
                let seen = &mut seen[document as usize];
                matches += u64::from(*seen != query);
                *seen = query;
            }
            // The matches include each pair's own positive.
            count += (matches - 1) * self.query_pairs.get(query).len() as u64;
        }
        count
    }
}

/// Assigns consecutive numbers to the known hashes.
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
}

/// Many short lists of numbers in two vectors (compressed sparse rows).
#[derive(Debug)]
struct Lists {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Lists {
    /// `count` lists: list `index` has the values of the entries `(index, value)`, in their order.
    fn new(count: usize, entries: &[(u32, u32)]) -> Self {
        Self::build(count, entries, |entry| entry)
    }

    /// `count` lists: list `value` has the indices of the entries `(index, value)`.
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
