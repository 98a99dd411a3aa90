//! The best documents of every query, from scores that come block by block.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Ties;

/// Scores that are compared with the border at once: most of a corpus is below it.
const LANES: usize = 16;

/// A document with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The document's row in the corpus.
    pub index: usize,
    /// Similarity to the query; not NaN.
    pub score: f32,
}

/// The best `k` documents of every query so far: they depend neither on the order of the corpus nor on who comes first,
/// so that many threads may add what they find.
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

/// What one query has found.
struct Best {
    /// In no order, and more than `k` of them now and then.
    hits: Vec<Hit>,
    /// The border: documents that score less are not among the best.
    least: f32,
}

impl<'a, I: Fn(usize) -> &'a str> TopK<I> {
    /// Nothing found yet; `id` gives the id of each row of the corpus.
    pub fn new(queries: usize, k: usize, id: I) -> Self {
        let nothing = || Mutex::new(Best { hits: Vec::new(), least: f32::NEG_INFINITY });
        let best = std::iter::repeat_with(nothing).take(queries).collect();
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
    /// When there is no such query.
    pub fn add_scores(&self, query: usize, first: usize, scores: &[f32]) {
        let mut best = self.lock(query);
        let (chunks, rest) = scores.as_chunks::<LANES>();
        let chunks = chunks.iter().map(<[f32; LANES]>::as_slice).chain([rest]);
        for (number, chunk) in chunks.enumerate() {
            // No early end inside of a chunk: the comparisons are one instruction.
            if !chunk.iter().fold(false, |any, score| any | (*score >= best.least)) {
                continue;
            }
            for (row, score) in chunk.iter().enumerate() {
                best.offer(Hit { index: first + number * LANES + row, score: *score }, self.k, &self.order);
            }
        }
    }

    /// Adds what some queries have found in the rows `block` of the corpus.
    ///
    /// `find(n)` gives the scores of the best `n` of the block for each of the queries, falling, and their rows inside
    /// the block: both `[queries, n]`. Among equal scores it may choose as it likes: where they cross the border, it is
    /// asked again for more, because there ids decide and not rows.
    ///
    /// # Errors
    /// Those of `find`.
    ///
    /// # Panics
    /// When `queries` goes past the last query.
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
            // One hit more than is kept shows whether a tie crosses the border.
            let is_tied = |row: &[f32]| n > k && k > 0 && row[k - 1] == row[n - 1];
            if n == block.len() || !found.0.chunks_exact(n).any(is_tied) {
                break found;
            }
            n = (2 * n).min(block.len());
        };
        for ((scores, rows), query) in scores.chunks_exact(n).zip(rows.chunks_exact(n)).zip(queries) {
            let mut best = self.lock(query);
            for (score, row) in scores.iter().zip(rows) {
                // Scores fall: behind the first that is too low, none is high enough.
                if *score < best.least {
                    break;
                }
                best.offer(Hit { index: block.start + *row as usize, score: *score }, k, &self.order);
            }
        }
        Ok(())
    }

    /// A thread that panicked has left hits that are true all the same.
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
    /// The better one first. Ids differ, and so no two documents are equal.
    fn compare(&self, a: &Hit, b: &Hit) -> std::cmp::Ordering {
        self.ties.order_by(a.score.into(), b.score.into(), || ((self.id)(a.index), (self.id)(b.index)))
    }
}

impl Best {
    /// Takes a hit that is not below the border. Twice as many as are wanted are held, so that choosing among them
    /// costs a fixed number of comparisons a hit, ties included.
    fn offer<'a, I: Fn(usize) -> &'a str>(&mut self, hit: Hit, k: usize, order: &Order<I>) {
        if hit.score < self.least || k == 0 {
            return;
        }
        self.hits.push(hit);
        if self.hits.len() == k.saturating_mul(2) {
            let (_, last, _) = self.hits.select_nth_unstable_by(k - 1, |a, b| order.compare(a, b));
            self.least = last.score;
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
            // An order of ids that is not that of the rows.
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
