//! Metrics of one query's ranking.

mod err;
mod found;
mod ndcg;
mod pooled;
mod precision;
mod rbp;

pub use err::expected_reciprocal_rank;
pub use found::{accuracy, capped_recall, f1, precision, r_precision, recall};
pub use ndcg::{Gain, ndcg};
pub use pooled::{bpref, inferred_average_precision, judged};
pub use precision::{average_precision, capped_average_precision, reciprocal_rank};
pub use rbp::{PERSISTENCE, graded_rank_biased_precision, rank_biased_precision};

/// Whether trec_eval counts a document of this relevance as relevant; one that nobody judged is not.
fn is_relevant(relevance: Option<i64>) -> bool {
    relevance.is_some_and(|relevance| relevance > 0)
}

/// How many of the first k documents are relevant.
fn found(ranked: &[Option<i64>], k: usize) -> usize {
    top(ranked, k).iter().filter(|relevance| is_relevant(**relevance)).count()
}

/// R: how many documents are relevant.
fn all(ideal: &[i64]) -> usize {
    ideal.iter().filter(|relevance| **relevance > 0).count()
}

/// The highest grade of the metrics that need to know it: TREC's scale, as in gdeval.
const HIGHEST: i64 = 4;

fn top(ranked: &[Option<i64>], k: usize) -> &[Option<i64>] {
    &ranked[..k.min(ranked.len())]
}

/// A share of `whole`; 0 where there is nothing to share.
fn share(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

/// Relevances of documents that were all judged, for tests.
#[cfg(test)]
fn judgments(relevances: &[i64]) -> Vec<Option<i64>> {
    relevances.iter().copied().map(Some).collect()
}
