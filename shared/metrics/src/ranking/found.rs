//! Metrics that ask only which relevant documents were found, not where.

use super::{all, found, share};

/// Precision@k: relevant documents among the first k, divided by k, also when fewer were retrieved.
///
/// `P@k = |relevant in top k| / k` (trec_eval `P_k`, m_P.c).
pub fn precision(ranked: &[Option<i64>], k: usize) -> f64 {
    share(found(ranked, k) as f64, k)
}

/// Recall@k: the share of all relevant documents that stands among the first k; 0 when none is relevant.
///
/// `R@k = |relevant in top k| / R` (trec_eval `recall_k`, m_recall.c).
pub fn recall(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(found(ranked, k) as f64, all(ideal))
}

/// Capped recall@k: the share of the relevant documents that k ranks can hold; 1 is always within reach.
///
/// `|relevant in top k| / min(k, R)` (BEIR `R_cap@k`, custom_metrics.py; trec_eval `relative_P_k`, m_relative_P.c).
pub fn capped_recall(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(found(ranked, k) as f64, k.min(all(ideal)))
}

/// F1@k: the harmonic mean of [`precision`] and [`recall`]; 0 when nothing was found.
///
/// `2 P R / (P + R)` (van Rijsbergen 1979, "Information Retrieval", chapter 7; trec_eval `set_F` of a run of k documents).
pub fn f1(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    let (precision, recall) = (precision(ranked, k), recall(ranked, ideal, k));
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// R-precision: precision at rank R, where it equals recall; 0 when none is relevant (trec_eval `Rprec`, m_Rprec.c).
pub fn r_precision(ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    precision(ranked, all(ideal))
}

/// Accuracy@k: 1 when a relevant document is among the first k, else 0.
///
/// Called `success_k` by trec_eval (m_success.c), hit rate by others, accuracy by sentence-transformers.
pub fn accuracy(ranked: &[Option<i64>], k: usize) -> f64 {
    f64::from(u8::from(found(ranked, k) > 0))
}

#[cfg(test)]
mod tests {
    use super::super::judgments;
    use super::*;

    #[test]
    fn precision_divides_by_k_even_when_less_was_retrieved() {
        assert_eq!(precision(&judgments(&[1, 0]), 10), 0.1);
        assert_eq!(precision(&judgments(&[1, 1]), 0), 0.0);
    }

    #[test]
    fn a_query_without_relevant_documents_scores_nothing() {
        let ranked = judgments(&[0, -2]);
        assert_eq!(recall(&ranked, &[0], 2), 0.0);
        assert_eq!(capped_recall(&ranked, &[0], 2), 0.0);
        assert_eq!(r_precision(&ranked, &[0]), 0.0);
        assert_eq!(f1(&ranked, &[0], 2), 0.0);
        assert_eq!(accuracy(&ranked, 2), 0.0);
    }

    #[test]
    fn the_cutoff_is_a_rank() {
        let ranked = judgments(&[0, 0, 2, 0, 1]);
        assert_eq!([2, 3, 9].map(|k| accuracy(&ranked, k)), [0.0, 1.0, 1.0]);
        assert_eq!([3, 5].map(|k| recall(&ranked, &[2, 1, 1, 0], k)), [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!([3, 5].map(|k| capped_recall(&ranked, &[2, 1, 1, 0], k)), [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(capped_recall(&judgments(&[1]), &[1, 1, 1], 1), 1.0);
        assert_eq!(r_precision(&ranked, &[2, 1, 1, 0]), 1.0 / 3.0);
        assert_eq!(f1(&ranked, &[2, 1, 1], 3), 1.0 / 3.0);
    }
}
