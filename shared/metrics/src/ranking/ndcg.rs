//! Normalised discounted cumulative gain.

/// The gain from a document, as a function of its relevance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gain {
    /// The relevance itself (Järvelin and Kekäläinen 2002, ACM TOIS 20(4); trec_eval, BEIR).
    Linear,
    /// `2^relevance - 1` (Burges et al. 2005, ICML; TREC's gdeval).
    Exponential,
}

impl Gain {
    /// The gain; 0 if the relevance is negative, as in trec_eval.
    fn of(self, relevance: i64) -> f64 {
        match self {
            Self::Linear => relevance.max(0) as f64,
            // Above 1000 the gain would be infinite, and the quotient NaN.
            Self::Exponential => 2_f64.powi(relevance.clamp(0, 1000) as i32) - 1.0,
        }
    }
}

/// NDCG@k: the gain of the first k documents, discounted by rank, relative to the best possible order.
///
/// `DCG@k = Σ gain_i / log2(i + 1)` over the ranks `i <= k`, and `NDCG@k = DCG@k / IDCG@k`, where IDCG is the DCG of
/// all judged documents in the best order, retrieved or not; 0 if nothing is relevant (trec_eval `ndcg_cut_k`,
/// m_ndcg_cut.c; with [`Gain::Exponential`] gdeval's `ndcg@k`, whose natural logarithms cancel out).
pub(crate) fn ndcg(ranked: &[Option<i64>], ideal: &[i64], k: usize, gain: Gain) -> f64 {
    debug_assert!(ideal.is_sorted_by(|a, b| a >= b), "the ideal order is descending");
    let best = dcg(ideal.iter().copied(), k, gain);
    if best == 0.0 { 0.0 } else { dcg(ranked.iter().map(|relevance| relevance.unwrap_or(0)), k, gain) / best }
}

fn dcg(relevances: impl Iterator<Item = i64>, k: usize, gain: Gain) -> f64 {
    relevances.take(k).enumerate().map(|(index, relevance)| gain.of(relevance) / ((index + 2) as f64).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::judgments;
    use super::*;

    #[test]
    fn gain_is_linear_or_not_and_the_ideal_counts_what_was_not_retrieved() {
        // Retrieved: something unjudged, then a 1; judged: 2 and 1.
        let ranked = [None, Some(1)];
        let discount = 1.0 / 3f64.log2();
        let linear = discount / (2.0 + discount);
        assert!((ndcg(&ranked, &[2, 1, 0], 10, Gain::Linear) - linear).abs() < 1e-15);
        let exponential = discount / (3.0 + discount);
        assert!((ndcg(&ranked, &[2, 1, 0], 10, Gain::Exponential) - exponential).abs() < 1e-15);
        assert_eq!(ndcg(&ranked, &[2, 1, 0], 1, Gain::Linear), 0.0);
    }

    #[test]
    fn negative_relevance_gains_nothing_and_a_huge_one_is_finite() {
        let [a, b] = [[-3, 1], [0, 1]].map(|relevances| judgments(&relevances));
        assert_eq!(ndcg(&a, &[1, -3], 10, Gain::Linear), ndcg(&b, &[1, 0], 10, Gain::Linear));
        assert_eq!(ndcg(&judgments(&[-1]), &[0, -1], 10, Gain::Linear), 0.0);
        assert_eq!(ndcg(&[Some(i64::MAX)], &[i64::MAX], 10, Gain::Exponential), 1.0);
    }
}
