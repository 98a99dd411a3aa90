//! Rank-biased precision.

use super::{is_relevant, top};

/// The probability with which a reader goes on to the next document.
pub const PERSISTENCE: f64 = 0.8;

/// RBP@k: the share of the documents that a reader reads who goes on with probability [`PERSISTENCE`] that is relevant.
///
/// `RBP@k = (1 - p) * sum over relevant ranks i <= k of p^(i - 1)` (Moffat and Zobel 2008, ACM TOIS 27(1); ir_measures
/// `RBP(p=0.8, rel=1)@k`). What lies below k would add `p^k` at most. trec_eval 10's `rbp` has p = 0.9 and scales grades
/// by numbers it does not set.
pub fn rank_biased_precision(ranked: &[Option<i64>], k: usize) -> f64 {
    let (mut reading, mut sum) = (1.0, 0.0);
    for relevance in top(ranked, k) {
        if is_relevant(*relevance) {
            sum += reading;
        }
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
}
