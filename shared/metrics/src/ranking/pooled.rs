//! Metrics that tell documents that were judged not relevant from those that nobody judged.

use super::{all, is_relevant, share, top};

/// bpref: of the judged documents, how seldom one that is not relevant stands above one that is.
///
/// `(1 / R) * sum over retrieved relevant documents of 1 - min(n, R) / min(N, R)`, where n is the number of documents
/// above it that were judged not relevant and N the number of all of those; a term is 1 where n is 0, so that no judgment
/// of irrelevance is needed (trec_eval `bpref`, m_bpref.c; Buckley and Voorhees 2004, SIGIR). A negative relevance is no
/// judgment, as in trec_eval.
pub fn bpref(ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    let relevant = all(ideal);
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

/// What [`inferred_average_precision`] adds to both sides of a share, so that it is one of what is not there, too.
const SMOOTHING: f64 = 0.00001;

/// infAP: average precision as it would be if all of the pool had been judged, when only a random part of it was.
///
/// `(1 / R) * sum over retrieved relevant documents of 1 / i + (i - 1) / i * pooled / (i - 1) * (relevant + e) /
/// (relevant + irrelevant + 2 e)`, where i is the rank and the counts are of the documents above: those of the pool,
/// and those that were judged relevant and not relevant (Yilmaz and Aslam 2006, CIKM; trec_eval `infAP`, m_infap.c).
/// A negative relevance says that a document was in the pool and not judged; without any, infAP is MAP but for e.
pub fn inferred_average_precision(ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
    let (mut relevant, mut irrelevant, mut unjudged, mut sum) = (0_u32, 0_u32, 0_u32, 0.0);
    for (above, relevance) in ranked.iter().enumerate() {
        match relevance {
            None => {}
            Some(..0) => unjudged += 1,
            Some(0) => irrelevant += 1,
            Some(_) => {
                let rank = (above + 1) as f64;
                let pooled = f64::from(relevant + irrelevant + unjudged);
                let share = (f64::from(relevant) + SMOOTHING) / (f64::from(relevant + irrelevant) + 2.0 * SMOOTHING);
                sum += (1.0 + pooled * share) / rank;
                relevant += 1;
            }
        }
    }
    share(sum, all(ideal))
}

/// Judged@k: the share of the first k documents, or of all that were retrieved when they are fewer, that was judged.
///
/// Low values say that the judgments were made for other systems, and that the other metrics underrate this one
/// (ir_measures `Judged@k`).
pub fn judged(ranked: &[Option<i64>], k: usize) -> f64 {
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
        // One of two relevant documents stands below one of the two that are not.
        assert_eq!(bpref(&[Some(2), Some(0), Some(1)], &[2, 1, 0, 0]), 0.75);
        assert_eq!(bpref(&[Some(0)], &[0]), 0.0);
    }

    #[test]
    fn what_was_pooled_is_taken_for_what_was_judged() {
        // Above the second relevant document: one relevant, one not, two of the pool that nobody judged.
        let value = inferred_average_precision(&[Some(1), Some(0), Some(-1), Some(-1), None, Some(2)], &[2, 1, 0]);
        assert!((value - (1.0 + (1.0 + 4.0 * 0.5) / 6.0) / 2.0).abs() < 1e-9);
        assert_eq!(inferred_average_precision(&[Some(0), Some(-1)], &[0, -1]), 0.0);
    }

    #[test]
    fn few_hits_can_all_be_judged() {
        assert_eq!(judged(&[Some(0), Some(1)], 10), 1.0);
        assert_eq!(judged(&[Some(-1), None, Some(1)], 2), 0.5);
        assert_eq!(judged(&[], 2), 0.0);
    }
}
