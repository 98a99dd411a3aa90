//! Metrics that ask only whether a document is relevant.

/// Whether trec_eval counts a document of this relevance as relevant.
fn is_relevant(relevance: i64) -> bool {
    relevance > 0
}

/// R: how many documents are relevant.
fn count(relevances: &[i64]) -> usize {
    relevances.iter().filter(|relevance| is_relevant(**relevance)).count()
}

fn top(ranked: &[i64], k: usize) -> &[i64] {
    &ranked[..k.min(ranked.len())]
}

/// A share of `whole`; 0 where there is nothing to share.
fn share(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

/// Precision@k: relevant documents among the first k, divided by k, also when fewer were retrieved.
///
/// `P@k = |relevant in top k| / k` (trec_eval `P_k`, m_P.c).
pub fn precision(ranked: &[i64], k: usize) -> f64 {
    share(count(top(ranked, k)) as f64, k)
}

/// Recall@k: the share of all relevant documents that stands among the first k; 0 when none is relevant.
///
/// `R@k = |relevant in top k| / R` (trec_eval `recall_k`, m_recall.c).
pub fn recall(ranked: &[i64], ideal: &[i64], k: usize) -> f64 {
    share(count(top(ranked, k)) as f64, count(ideal))
}

/// AP@k, whose mean over queries is MAP@k: precision at each relevant rank up to k, summed, divided by R.
///
/// `AP@k = (1 / R) * sum over relevant ranks i <= k of P@i` (trec_eval `map_cut_k`, m_map_cut.c). The divisor is R as in
/// trec_eval, not `min(k, R)` as in sentence-transformers: the two differ widely for queries with many relevant
/// documents.
pub fn average_precision(ranked: &[i64], ideal: &[i64], k: usize) -> f64 {
    let mut found = 0;
    let mut sum = 0.0;
    for (index, _) in top(ranked, k).iter().enumerate().filter(|(_, relevance)| is_relevant(**relevance)) {
        found += 1;
        sum += f64::from(found) / (index + 1) as f64;
    }
    share(sum, count(ideal))
}

/// RR@k, whose mean over queries is MRR@k: one over the rank of the first relevant document; 0 when none is in the top k.
///
/// `RR@k = 1 / min { i <= k : document i is relevant }` (trec_eval `recip_rank`, m_recip_rank.c, of a run cut at k;
/// Voorhees 1999, the TREC-8 question answering track).
pub fn reciprocal_rank(ranked: &[i64], k: usize) -> f64 {
    top(ranked, k).iter().position(|relevance| is_relevant(*relevance)).map_or(0.0, |index| 1.0 / (index + 1) as f64)
}

/// Accuracy@k: 1 when a relevant document is among the first k, else 0.
///
/// Called `success_k` by trec_eval (m_success.c), hit rate by others, accuracy by sentence-transformers.
pub fn accuracy(ranked: &[i64], k: usize) -> f64 {
    f64::from(u8::from(top(ranked, k).iter().any(|relevance| is_relevant(*relevance))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_divides_by_k_even_when_less_was_retrieved() {
        assert_eq!(precision(&[1, 0], 10), 0.1);
        assert_eq!(precision(&[1, 1], 0), 0.0);
    }

    #[test]
    fn map_divides_by_all_relevant_documents() {
        // Five relevant documents, one of them first: sentence-transformers would say 1.
        assert_eq!(average_precision(&[1], &[1, 1, 1, 1, 1], 1), 0.2);
    }

    #[test]
    fn a_query_without_relevant_documents_scores_nothing() {
        assert_eq!(recall(&[0, 0], &[0], 2), 0.0);
        assert_eq!(average_precision(&[0, -1], &[0, -1], 2), 0.0);
        assert_eq!(reciprocal_rank(&[], 2), 0.0);
        assert_eq!(accuracy(&[0, -2], 2), 0.0);
    }

    #[test]
    fn the_cutoff_is_a_rank() {
        let ranked = [0, 0, 2, 0, 1];
        assert_eq!([1, 2, 3, 5].map(|k| reciprocal_rank(&ranked, k)), [0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_eq!([2, 3, 9].map(|k| accuracy(&ranked, k)), [0.0, 1.0, 1.0]);
        assert_eq!([3, 5].map(|k| recall(&ranked, &[2, 1, 1, 0], k)), [1.0 / 3.0, 2.0 / 3.0]);
    }
}
