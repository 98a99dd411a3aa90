//! The best documents of every query, from scores that come block by block.

use std::ops::Range;

use crate::Ties;

/// A document with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The document's row in the corpus.
    pub index: usize,
    /// Similarity to the query; not NaN.
    pub score: f32,
}

/// The best `k` documents of every query so far: they do not depend on the order of the corpus.
pub struct TopK<I> {
    k: usize,
    /// The id of a document.
    id: I,
    ties: Ties,
    best: Vec<Vec<Hit>>,
}

impl<'a, I: Fn(usize) -> &'a str> TopK<I> {
    /// Nothing found yet; `id` gives the id of each row of the corpus.
    pub fn new(queries: usize, k: usize, id: I) -> Self {
        Self { k, id, ties: Ties::default(), best: vec![Vec::new(); queries] }
    }

    /// The same with another order of equal scores; the default is trec_eval's.
    #[must_use]
    pub fn breaking_ties(self, ties: Ties) -> Self {
        Self { ties, ..self }
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
        &mut self,
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
        let best = self.best[queries].iter_mut();
        for ((scores, rows), best) in scores.chunks_exact(n).zip(rows.chunks_exact(n)).zip(best) {
            // Scores fall: behind the first that is too low for the best so far, none is high enough.
            let least =
                if best.len() < k { f32::NEG_INFINITY } else { best.last().map_or(f32::INFINITY, |hit| hit.score) };
            let high = scores.iter().zip(rows).take_while(|(score, _)| **score >= least);
            let before = best.len();
            best.extend(high.map(|(score, row)| Hit { index: block.start + *row as usize, score: *score }));
            if best.len() == before {
                continue;
            }
            best.sort_by(|a, b| {
                self.ties.order((f64::from(a.score), (self.id)(a.index)), (f64::from(b.score), (self.id)(b.index)))
            });
            best.truncate(k);
        }
        Ok(())
    }

    /// The hits of every query, best first.
    pub fn into_hits(self) -> Vec<Vec<Hit>> {
        self.best
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
            scores in prop::collection::vec((0..4_u8).prop_map(f32::from), 1..40), k in 0..12_usize, block in 1..15_usize,
            ties in prop::sample::select(vec![Ties::GreaterId, Ties::SmallerId]),
        ) {
            // An order of ids that is not that of the rows.
            let ids: Vec<String> = (0..scores.len()).map(|row| format!("d{}", row * 17 % 41)).collect();
            let mut top = TopK::new(1, k, |index| &*ids[index]).breaking_ties(ties);
            for start in (0..scores.len()).step_by(block) {
                let end = scores.len().min(start + block);
                top.add(0..1, start..end, |n| Ok::<_, Infallible>(best(&scores[start..end], n))).unwrap();
            }
            let mut expected: Vec<usize> = (0..scores.len()).collect();
            expected.sort_by(|a, b| ties.order((scores[*a].into(), &ids[*a]), (scores[*b].into(), &ids[*b])));
            expected.truncate(k);
            prop_assert_eq!(top.into_hits()[0].iter().map(|hit| hit.index).collect::<Vec<_>>(), expected);
        }
    }
}
