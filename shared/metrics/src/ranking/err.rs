//! Expected reciprocal rank.

use super::{HIGHEST, top};

/// ERR@k: one over the rank at which a reader stops who reads from the top and is satisfied by good documents.
///
/// `ERR@k = sum over ranks i <= k of (1 / i) * p_i * product over j < i of (1 - p_j)` with `p = (2^relevance - 1) / 2^4`
/// (Chapelle, Metlzer, Zhang and Grinspan 2009, CIKM; the scale of 0 to 4 is gdeval's `err@k`). A relevance above 4
/// counts as 4. On a scale of 0 and 1 the values are small: a relevant document satisfies one reader in 16.
pub fn expected_reciprocal_rank(ranked: &[Option<i64>], k: usize) -> f64 {
    let (mut reading, mut sum) = (1.0, 0.0);
    for (index, relevance) in top(ranked, k).iter().enumerate() {
        let grade = relevance.unwrap_or(0).clamp(0, HIGHEST);
        let satisfied = ((1_u32 << grade) - 1) as f64 / f64::from(1_u32 << HIGHEST);
        sum += reading * satisfied / (index + 1) as f64;
        reading *= 1.0 - satisfied;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_satisfied_reader_does_not_read_on() {
        assert_eq!(expected_reciprocal_rank(&[Some(4)], 10), 15.0 / 16.0);
        assert_eq!(expected_reciprocal_rank(&[Some(99)], 10), 15.0 / 16.0);
        let second = 15.0 / 16.0 + 1.0 / 16.0 * (1.0 / 16.0) / 2.0;
        assert_eq!(expected_reciprocal_rank(&[Some(4), Some(1)], 10), second);
        assert_eq!(expected_reciprocal_rank(&[None, Some(-1), Some(1)], 2), 0.0);
        assert_eq!(expected_reciprocal_rank(&[None, Some(-1), Some(1)], 3), 1.0 / 48.0);
    }
}
