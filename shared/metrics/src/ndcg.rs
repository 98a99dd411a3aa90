//! Normalised discounted cumulative gain.

/// NDCG@k: the gain of the first k documents, discounted by rank, relative to the best possible order.
///
/// `DCG@k = sum over ranks i <= k of gain_i / log2(i + 1)`, where the gain is the relevance itself (linear, as in
/// trec_eval and BEIR; not `2^relevance - 1`), 0 where that is negative; `NDCG@k = DCG@k / IDCG@k`, where IDCG is the DCG
/// of all judged documents in the best order, retrieved or not; 0 when nothing is relevant (trec_eval `ndcg_cut_k`,
/// m_ndcg_cut.c; Järvelin and Kekäläinen 2002, ACM TOIS 20(4)).
pub fn ndcg(ranked: &[i64], ideal: &[i64], k: usize) -> f64 {
    debug_assert!(ideal.is_sorted_by(|a, b| a >= b), "the ideal order is descending");
    let best = dcg(ideal, k);
    if best == 0.0 { 0.0 } else { dcg(ranked, k) / best }
}

fn dcg(relevances: &[i64], k: usize) -> f64 {
    let discounted = |(index, relevance): (usize, &i64)| (*relevance).max(0) as f64 / ((index + 2) as f64).log2();
    relevances.iter().take(k).enumerate().map(discounted).sum()
}

#[cfg(test)]
mod tests {
    use super::ndcg;

    #[test]
    fn gain_is_linear_and_the_ideal_counts_what_was_not_retrieved() {
        // Retrieved: nothing, then a 1; judged: 2 and 1.
        let expected = (1.0 / 3f64.log2()) / (2.0 + 1.0 / 3f64.log2());
        assert!((ndcg(&[0, 1], &[2, 1, 0], 10) - expected).abs() < 1e-15);
        assert_eq!(ndcg(&[0, 1], &[2, 1, 0], 1), 0.0);
    }

    #[test]
    fn negative_relevance_gains_nothing() {
        assert_eq!(ndcg(&[-3, 1], &[1, -3], 10), ndcg(&[0, 1], &[1, 0], 10));
        assert_eq!(ndcg(&[-1], &[0, -1], 10), 0.0);
    }
}
