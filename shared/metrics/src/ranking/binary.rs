//! Metrics of binary relevance: how many relevant documents were found, and at which ranks.

use super::{count_relevant, is_relevant, share, top, total_relevant};

/// Precision@k. The divisor is k even if fewer documents were retrieved (trec_eval `P_k`, m_P.c).
pub(crate) fn precision(ranked: &[Option<i64>], k: usize) -> f64 {
    share(count_relevant(ranked, k) as f64, k)
}

/// Recall@k (trec_eval `recall_k`, m_recall.c).
pub(crate) fn recall(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(count_relevant(ranked, k) as f64, total_relevant(ideal))
}

/// Recall@k relative to what k ranks can hold, so that 1 can always be reached (BEIR `R_cap@k`, custom_metrics.py;
/// trec_eval `relative_P_k`, m_relative_P.c).
pub(crate) fn capped_recall(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(count_relevant(ranked, k) as f64, k.min(total_relevant(ideal)))
}

/// F1@k: `2 P R / (P + R)` (van Rijsbergen 1979, "Information Retrieval", chapter 7; trec_eval `set_F` of k documents).
pub(crate) fn f1(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    let (precision, recall) = (precision(ranked, k), recall(ranked, ideal, k));
    if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) }
}

/// R-precision: precision at rank R, where it equals recall (trec_eval `Rprec`, m_Rprec.c).
pub(crate) fn r_precision(ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    precision(ranked, total_relevant(ideal))
}

/// Accuracy@k, which trec_eval calls `success_k` (m_success.c) and others hit rate.
pub(crate) fn accuracy(ranked: &[Option<i64>], k: usize) -> f64 {
    f64::from(u8::from(count_relevant(ranked, k) > 0))
}

/// AP@k, whose mean over the queries is MAP@k.
///
/// The divisor is R as in trec_eval (`map_cut_k`, m_map_cut.c), not `min(k, R)` as in [`capped_average_precision`]. The
/// two differ widely for queries with many relevant documents.
pub(crate) fn average_precision(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(sum_of_precisions(ranked, k), total_relevant(ideal))
}

/// AP@k as in sentence-transformers, divided by `min(k, R)` (InformationRetrievalEvaluator.py, `compute_metrics`).
pub(crate) fn capped_average_precision(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(sum_of_precisions(ranked, k), k.min(total_relevant(ideal)))
}

fn sum_of_precisions(ranked: &[Option<i64>], k: usize) -> f64 {
    let mut found = 0;
    let mut sum = 0.0;
    for (index, _) in top(ranked, k).iter().enumerate().filter(|(_, relevance)| is_relevant(**relevance)) {
        found += 1;
        sum += f64::from(found) / (index + 1) as f64;
    }
    sum
}

/// RR@k, whose mean over the queries is MRR@k (trec_eval `recip_rank`, m_recip_rank.c, of a run cut at k; Voorhees
/// 1999, the TREC-8 question answering track).
pub(crate) fn reciprocal_rank(ranked: &[Option<i64>], k: usize) -> f64 {
    top(ranked, k).iter().position(|relevance| is_relevant(*relevance)).map_or(0.0, |index| 1.0 / (index + 1) as f64)
}

/// Interpolated precision at recall 0, 0.1, … 1: the highest precision at any rank where recall reaches the level.
///
/// `ranks` are the ranks of the relevant documents that were retrieved, from 1 and ascending; `relevant` is R.
/// `max { P@i : recall@i >= level }`, or 0 where recall never reaches the level (trec_eval `iprec_at_recall`,
/// m_iprec_at_recall.c; Manning, Raghavan and Schütze 2008, "Introduction to Information Retrieval", chapter 8.4).
pub fn interpolated_precision(ranks: &[usize], relevant: usize) -> [f64; 11] {
    // Both recall and precision peak at the ranks of relevant documents.
    let points: Vec<(usize, f64)> =
        (1..).zip(ranks).map(|(found, rank)| (found, found as f64 / *rank as f64)).collect();
    std::array::from_fn(|tenths| {
        // Compared as whole numbers, so that 3 of 10 reach the level 0.3.
        let reached = points.iter().filter(|(found, _)| 10 * found >= tenths * relevant);
        reached.map(|(_, precision)| *precision).fold(0.0, f64::max)
    })
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
        assert_eq!(average_precision(&ranked, &[0, -2], 2), 0.0);
        assert_eq!(capped_average_precision(&ranked, &[0, -2], 2), 0.0);
        assert_eq!(reciprocal_rank(&[], 2), 0.0);
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
        assert_eq!([1, 2, 3, 5].map(|k| reciprocal_rank(&ranked, k)), [0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn map_divides_by_all_relevant_documents() {
        let (ranked, ideal) = (judgments(&[1]), [1; 5]);
        assert_eq!(average_precision(&ranked, &ideal, 1), 0.2);
        assert_eq!(capped_average_precision(&ranked, &ideal, 1), 1.0);
        assert_eq!(capped_average_precision(&ranked, &ideal, 10), 0.2);
    }

    #[test]
    fn interpolated_precision_is_the_best_from_a_level_on() {
        // Relevant at ranks 2 and 3 of 3 relevant: precision 1/2 and 2/3.
        let curve = interpolated_precision(&[2, 3], 3);
        assert_eq!(curve[..7], [2.0 / 3.0; 7]);
        assert_eq!(curve[7..], [0.0; 4]);
        assert_eq!(interpolated_precision(&[], 0), [0.0; 11]);
    }
}
