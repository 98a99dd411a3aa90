//! Metrics for incomplete judgments: they distinguish documents judged not relevant from documents that nobody judged.

use super::{is_relevant, share, top, total_relevant};

/// bpref: how rarely a document judged not relevant is ranked above a relevant one.
///
/// `(1 / R) Σ (1 - min(n, R) / min(N, R))` over the retrieved relevant documents, where n is the number of documents
/// above that were judged not relevant and N the number of all documents judged so. A term is 1 if n is 0, so that
/// judgments without irrelevant documents do not divide by 0 (trec_eval `bpref`, m_bpref.c; Buckley and Voorhees 2004,
/// SIGIR). As in trec_eval, a negative relevance does not count as a judgment.
pub(crate) fn bpref(ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    let relevant = total_relevant(ideal);
    let not_relevant = ideal.iter().filter(|relevance| **relevance == 0).count();
    let (mut above, mut sum) = (0_usize, 0.0);
    for relevance in ranked {
        if *relevance == Some(0) {
            above += 1;
        } else if is_relevant(*relevance) {
            sum += if above == 0 { 1.0 } else { 1.0 - above.min(relevant) as f64 / not_relevant.min(relevant) as f64 };
        }
    }
    share(sum, relevant)
}

/// Judged@k: the share of judged documents among the first k, or among all retrieved ones if there are fewer.
///
/// A low value means that the judgments were made for other systems, and that the other metrics underrate this one
/// (ir_measures `Judged@k`).
pub(crate) fn judged(ranked: &[Option<i64>], k: usize) -> f64 {
    let top = top(ranked, k);
    share(top.iter().filter(|relevance| relevance.is_some()).count() as f64, top.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unjudged_documents_do_not_count_against_a_system() {
        assert_eq!(bpref(&[None, None, Some(1)], &[1]), 1.0);
        assert_eq!(bpref(&[Some(-1), Some(1)], &[1, -1]), 1.0);
        // One of two relevant documents is ranked below one of the two that are not.
        assert_eq!(bpref(&[Some(2), Some(0), Some(1)], &[2, 1, 0, 0]), 0.75);
        assert_eq!(bpref(&[Some(0)], &[0]), 0.0);
    }

    #[test]
    fn few_hits_can_all_be_judged() {
        assert_eq!(judged(&[Some(0), Some(1)], 10), 1.0);
        assert_eq!(judged(&[Some(-1), None, Some(1)], 2), 0.5);
        assert_eq!(judged(&[], 2), 0.0);
    }
}
