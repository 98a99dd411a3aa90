//! Metrics of one query's ranking.

mod binary;
mod incomplete;
mod ndcg;
mod user_model;

pub use binary::interpolated_precision;
pub(crate) use binary::{
    accuracy, average_precision, capped_average_precision, capped_recall, f1, precision, r_precision, recall,
    reciprocal_rank,
};
pub(crate) use incomplete::{bpref, judged};
pub(crate) use ndcg::{Gain, ndcg};
pub(crate) use user_model::{expected_reciprocal_rank, rank_biased_precision};

/// Whether trec_eval counts a document of this relevance as relevant. One that nobody judged is not.
fn is_relevant(relevance: Option<i64>) -> bool {
    relevance.is_some_and(|relevance| relevance > 0)
}

/// How many of the first k documents are relevant.
fn count_relevant(ranked: &[Option<i64>], k: usize) -> usize {
    top(ranked, k).iter().filter(|relevance| is_relevant(**relevance)).count()
}

/// R: how many documents are relevant to the query.
fn total_relevant(ideal: &[i64]) -> usize {
    ideal.iter().filter(|relevance| **relevance > 0).count()
}

fn top(ranked: &[Option<i64>], k: usize) -> &[Option<i64>] {
    &ranked[..k.min(ranked.len())]
}

/// `part / whole`, or 0 if `whole` is 0.
fn share(part: f64, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part / whole as f64 }
}

/// A ranking whose documents were all judged, for tests.
#[cfg(test)]
fn judgments(relevances: &[i64]) -> Vec<Option<i64>> {
    relevances.iter().copied().map(Some).collect()
}
