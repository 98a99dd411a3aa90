//! The best documents of every query, from scores that arrive block by block.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Ties;

/// Scores that are compared with the threshold at once: most of a corpus is below it.
const LANES: usize = 16;

/// A document with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The document's row in the corpus.
    pub index: usize,
    /// Similarity to the query; not NaN.
    pub score: f32,
}

/// The best `k` documents of every query so far. They do not depend on the order in which documents are added, so many
/// threads may add what they find.
pub struct TopK<I> {
    k: usize,
    order: Order<I>,
    best: Vec<Mutex<Best>>,
}

/// Which of two documents is better.
struct Order<I> {
    /// The id of a document.
    id: I,
    ties: Ties,
}

/// The best documents of one query so far.
struct Best {
    /// In no order, and at times up to `2 k` of them.
    hits: Vec<Hit>,
    /// Documents that score less cannot be among the best.
    threshold: f32,
}

impl<'a, I: Fn(usize) -> &'a str> TopK<I> {
    /// Without any hits; `id` gives the id of each row of the corpus.
    pub fn new(queries: usize, k: usize, id: I) -> Self {
        let empty = || Mutex::new(Best { hits: Vec::new(), threshold: f32::NEG_INFINITY });
        let best = std::iter::repeat_with(empty).take(queries).collect();
        Self { k, order: Order { id, ties: Ties::default() }, best }
    }

    /// The same with another order of equal scores; the default is trec_eval's.
    #[must_use]
    pub fn breaking_ties(self, ties: Ties) -> Self {
        Self { order: Order { ties, ..self.order }, ..self }
    }

    /// Adds the scores that a query has with all documents of a block, whose first row in the corpus is `first`.
    ///
    /// # Panics
    /// If there is no such query.
    pub fn add_scores(&self, query: usize, first: usize, scores: &[f32]) {
        let mut best = self.lock(query);
        let (chunks, rest) = scores.as_chunks::<LANES>();
        let chunks = chunks.iter().map(<[f32; LANES]>::as_slice).chain([rest]);
        for (number, chunk) in chunks.enumerate() {
            // No early exit within a chunk, so that the comparisons are one vector instruction.
            if !chunk.iter().fold(false, |any, score| any | (*score >= best.threshold)) {
                continue;
            }
            for (row, score) in chunk.iter().enumerate() {
                best.offer(Hit { index: first + number * LANES + row, score: *score }, self.k, &self.order);
            }
        }
    }

    /// Adds the best documents of the rows `block` of the corpus for some queries.
    ///
    /// `find(n)` gives the scores of the best `n` documents of the block for each of the queries, in descending order,
    /// and their rows within the block: both `[queries, n]`. It may choose freely among equal scores: if a tie extends
    /// past the k-th place, it is called again for more documents, because ids decide there and not rows.
    ///
    /// # Errors
    /// The error of `find`.
    ///
    /// # Panics
    /// If `queries` goes past the last query.
    pub fn add<E>(
        &self,
        queries: Range<usize>,
        block: Range<usize>,
        mut find: impl FnMut(usize) -> Result<(Vec<f32>, Vec<i64>), E>,
    ) -> Result<(), E> {
        if block.is_empty() {
            return Ok(());
        }
        let k = self.k;
        let mut n = (k + 1).min(block.len());
        let (scores, rows) = loop {
            let found = find(n)?;
            // One hit more than is kept shows whether a tie extends past the k-th place.
            let is_tied = |row: &[f32]| n > k && k > 0 && row[k - 1] == row[n - 1];
            if n == block.len() || !found.0.chunks_exact(n).any(is_tied) {
                break found;
            }
            n = (2 * n).min(block.len());
        };
        for ((scores, rows), query) in scores.chunks_exact(n).zip(rows.chunks_exact(n)).zip(queries) {
            let mut best = self.lock(query);
            for (score, row) in scores.iter().zip(rows) {
                // Scores are in descending order: after the first that is too low, all are.
                if *score < best.threshold {
                    break;
                }
                best.offer(Hit { index: block.start + *row as usize, score: *score }, k, &self.order);
            }
        }
        Ok(())
    }

    /// The hits are valid even if a thread panicked.
    fn lock(&self, query: usize) -> MutexGuard<'_, Best> {
        self.best[query].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hits of every query, best first.
    pub fn into_hits(self) -> Vec<Vec<Hit>> {
        let finish = |best: Mutex<Best>| {
            let mut hits = best.into_inner().unwrap_or_else(PoisonError::into_inner).hits;
            hits.sort_unstable_by(|a, b| self.order.compare(a, b));
            hits.truncate(self.k);
            hits
        };
        self.best.into_iter().map(finish).collect()
    }
}

impl<'a, I: Fn(usize) -> &'a str> Order<I> {
    /// The better one first. Ids are unique, so no two documents are equal.
    fn compare(&self, a: &Hit, b: &Hit) -> std::cmp::Ordering {
        self.ties.order_by(a.score.into(), b.score.into(), || ((self.id)(a.index), (self.id)(b.index)))
    }
}

impl Best {
    /// Takes a hit that is not below the threshold. Up to twice as many hits as needed are held, so that selecting the
    /// best costs an amortised constant number of comparisons per hit, ties included.
    fn offer<'a, I: Fn(usize) -> &'a str>(&mut self, hit: Hit, k: usize, order: &Order<I>) {
        if hit.score < self.threshold || k == 0 {
            return;
        }
        self.hits.push(hit);
        if self.hits.len() == k.saturating_mul(2) {
            let (_, last, _) = self.hits.select_nth_unstable_by(k - 1, |a, b| order.compare(a, b));
            self.threshold = last.score;
            self.hits.truncate(k);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// The best `n` of some scores; of equal ones those that come first.
    fn best(scores: &[f32], n: usize) -> (Vec<f32>, Vec<i64>) {
        let mut rows: Vec<usize> = (0..scores.len()).collect();
        rows.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        rows.truncate(n);
        rows.into_iter().map(|row| (scores[row], row as i64)).unzip()
    }

    proptest! {
        /// Few different scores, so that ties are everywhere.
        #[test]
        fn blocks_give_what_sorting_everything_gives(
            scores in prop::collection::vec((0..4_u8).prop_map(f32::from), 1..80), k in 0..12_usize, block in 1..50_usize,
            ties in prop::sample::select(vec![Ties::GreaterId, Ties::SmallerId]),
        ) {
            // Ids are ordered differently from rows.
            let ids: Vec<String> = (0..scores.len()).map(|row| format!("d{}", row * 17 % 83)).collect();
            let top = || TopK::new(1, k, |index| &*ids[index]).breaking_ties(ties);
            let (lists, dense) = (top(), top());
            for start in (0..scores.len()).step_by(block) {
                let end = scores.len().min(start + block);
                lists.add(0..1, start..end, |n| Ok::<_, Infallible>(best(&scores[start..end], n))).unwrap();
                dense.add_scores(0, start, &scores[start..end]);
            }
            let mut expected: Vec<usize> = (0..scores.len()).collect();
            expected.sort_by(|a, b| ties.order((scores[*a].into(), &ids[*a]), (scores[*b].into(), &ids[*b])));
            expected.truncate(k);
            for top in [lists, dense] {
                prop_assert_eq!(&top.into_hits()[0].iter().map(|hit| hit.index).collect::<Vec<_>>(), &expected);
            }
        }
    }
}
