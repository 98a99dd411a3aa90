//! Which rows of a batch must not be each other's negatives, because their texts, ids or groups say that they match.

mod lists;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

use embtune_tensors::Hashes;

use crate::loss::Direction;
use lists::Lists;

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
