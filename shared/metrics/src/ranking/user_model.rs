//! Metrics that model a reader who goes down the ranking and stops somewhere.

use super::{is_relevant, top};

/// The probability that a reader continues to the next document.
const PERSISTENCE: f64 = 0.8;

/// The highest grade of relevance: TREC's scale, as in gdeval.
const MAX_GRADE: i64 = 4;

/// RBP@k: the expected share of relevant documents among those that a reader looks at.
///
/// `RBP@k = (1 - p) Σ p^(i - 1)` over the relevant ranks i up to k, with `p = 0.8` (Moffat and Zobel 2008, ACM TOIS
/// 27(1); ir_measures `RBP(p=0.8, rel=1)@k`). Documents below rank k would add at most `p^k`.
pub(crate) fn rank_biased_precision(ranked: &[Option<i64>], k: usize) -> f64 {
    let (mut reads, mut sum) = (1.0, 0.0);
    for relevance in top(ranked, k) {
        if is_relevant(*relevance) {
            sum += reads;
        }
        reads *= PERSISTENCE;
    }
    (1.0 - PERSISTENCE) * sum
}

/// ERR@k: the expected reciprocal of the rank at which a reader is satisfied.
///
/// `ERR@k = Σ (1 / i) p_i Π (1 - p_j)` over the ranks `i <= k` and `j < i`, with `p = (2^relevance - 1) / 2^4`
/// (Chapelle, Metlzer, Zhang and Grinspan 2009, CIKM; the scale of 0 to 4 is that of gdeval's `err@k`). A relevance
/// above 4 counts as 4. Values are small on a scale of 0 and 1, because a relevant document then satisfies one reader
/// in 16.
pub(crate) fn expected_reciprocal_rank(ranked: &[Option<i64>], k: usize) -> f64 {
    let (mut reads, mut sum) = (1.0, 0.0);
    for (index, relevance) in top(ranked, k).iter().enumerate() {
        let grade = relevance.unwrap_or(0).clamp(0, MAX_GRADE);
        let satisfied = ((1_u32 << grade) - 1) as f64 / f64::from(1_u32 << MAX_GRADE);
        sum += reads * satisfied / (index + 1) as f64;
        reads *= 1.0 - satisfied;
    }
    sum
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
    fn a_satisfied_reader_stops() {
        assert_eq!(expected_reciprocal_rank(&[Some(4)], 10), 15.0 / 16.0);
        assert_eq!(expected_reciprocal_rank(&[Some(99)], 10), 15.0 / 16.0);
        let second = 15.0 / 16.0 + 1.0 / 16.0 * (1.0 / 16.0) / 2.0;
        assert_eq!(expected_reciprocal_rank(&[Some(4), Some(1)], 10), second);
        assert_eq!(expected_reciprocal_rank(&[None, Some(-1), Some(1)], 2), 0.0);
        assert_eq!(expected_reciprocal_rank(&[None, Some(-1), Some(1)], 3), 1.0 / 48.0);
    }
}
