//! Metrics of the ranks at which relevant documents stand.

use super::{all, is_relevant, share, top};

/// AP@k, whose mean over queries is MAP@k: precision at each relevant rank up to k, summed, divided by R.
///
/// `AP@k = (1 / R) * sum over relevant ranks i <= k of P@i` (trec_eval `map_cut_k`, m_map_cut.c). The divisor is R as in
/// trec_eval, not `min(k, R)` as in [`capped_average_precision`]: the two differ widely for queries with many relevant
/// documents.
pub fn average_precision(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(sum_of_precisions(ranked, k), all(ideal))
}

/// AP@k as sentence-transformers has it: the sum is divided by `min(k, R)`.
///
/// InformationRetrievalEvaluator.py, `compute_metrics`.
pub fn capped_average_precision(ranked: &[Option<i64>], ideal: &[i64], k: usize) -> f64 {
    share(sum_of_precisions(ranked, k), k.min(all(ideal)))
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

/// RR@k, whose mean over queries is MRR@k: one over the rank of the first relevant document; 0 when none is in the top k.
///
/// `RR@k = 1 / min { i <= k : document i is relevant }` (trec_eval `recip_rank`, m_recip_rank.c, of a run cut at k;
/// Voorhees 1999, the TREC-8 question answering track).
pub fn reciprocal_rank(ranked: &[Option<i64>], k: usize) -> f64 {
    top(ranked, k).iter().position(|relevance| is_relevant(*relevance)).map_or(0.0, |index| 1.0 / (index + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::super::judgments;
    use super::*;

    #[test]
    fn map_divides_by_all_relevant_documents() {
        let (ranked, ideal) = (judgments(&[1]), [1; 5]);
        assert_eq!(average_precision(&ranked, &ideal, 1), 0.2);
        assert_eq!(capped_average_precision(&ranked, &ideal, 1), 1.0);
        assert_eq!(capped_average_precision(&ranked, &ideal, 10), 0.2);
    }

    #[test]
    fn a_query_without_relevant_documents_scores_nothing() {
        let ranked = judgments(&[0, -1]);
        assert_eq!(average_precision(&ranked, &[0, -1], 2), 0.0);
        assert_eq!(capped_average_precision(&ranked, &[0, -1], 2), 0.0);
        assert_eq!(reciprocal_rank(&[], 2), 0.0);
    }

    #[test]
    fn the_cutoff_is_a_rank() {
        let ranked = judgments(&[0, 0, 2, 0, 1]);
        assert_eq!([1, 2, 3, 5].map(|k| reciprocal_rank(&ranked, k)), [0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
    }
}
