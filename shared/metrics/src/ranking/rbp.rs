//! Rank-biased precision.

use super::{HIGHEST, is_relevant, top};

/// The probability with which a reader goes on to the next document.
pub const PERSISTENCE: f64 = 0.8;

/// RBP@k: the share of the documents that a reader reads who goes on with probability [`PERSISTENCE`] that is relevant.
///
/// `RBP@k = (1 - p) * sum over relevant ranks i <= k of p^(i - 1)` (Moffat and Zobel 2008, ACM TOIS 27(1); ir_measures
/// `RBP(p=0.8, rel=1)@k`). What lies below k would add `p^k` at most. trec_eval 10's `rbp` has p = 0.9 and scales grades
/// by numbers it does not set.
pub fn rank_biased_precision(ranked: &[Option<i64>], k: usize) -> f64 {
    rate_of_gain(top(ranked, k).iter().map(|relevance| f64::from(u8::from(is_relevant(*relevance)))))
}

/// The same with a gain of `relevance / 4`, from 0 to 1, for each document: the gain at which the reader collects.
///
/// `(1 - p) * sum over ranks i <= k of gain_i * p^(i - 1)` (Moffat and Zobel 2008, section 3.2; cwl_eval's
/// `RBPCWLMetric` of such gains). A relevance above 4 counts as 4, a negative one as 0.
pub fn graded_rank_biased_precision(ranked: &[Option<i64>], k: usize) -> f64 {
    let gain = |relevance: &Option<i64>| relevance.unwrap_or(0).clamp(0, HIGHEST) as f64 / HIGHEST as f64;
    rate_of_gain(top(ranked, k).iter().map(gain))
}

fn rate_of_gain(gains: impl Iterator<Item = f64>) -> f64 {
    let (mut reading, mut sum) = (1.0, 0.0);
    for gain in gains {
        sum += reading * gain;
        reading *= PERSISTENCE;
    }
    (1.0 - PERSISTENCE) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_fall_by_the_persistence() {
        let value = rank_biased_precision(&[Some(1), None, Some(3), Some(0)], 10);
        assert!((value - 0.2 * (1.0 + 0.64)).abs() < 1e-15);
        assert_eq!(rank_biased_precision(&[Some(0), Some(1)], 1), 0.0);
    }

    #[test]
    fn grades_are_shares_of_the_highest() {
        let value = graded_rank_biased_precision(&[Some(9), None, Some(1), Some(-1)], 10);
        assert!((value - 0.2 * (1.0 + 0.25 * 0.64)).abs() < 1e-15);
    }
}
