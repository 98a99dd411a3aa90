//! What is measured, and how.

use std::fmt;
use std::num::NonZeroUsize;

use crate::ranking::{
    Gain, accuracy, average_precision, bpref, capped_average_precision, capped_recall, expected_reciprocal_rank, f1,
    graded_rank_biased_precision, inferred_average_precision, judged, ndcg, precision, r_precision,
    rank_biased_precision, recall, reciprocal_rank,
};

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// See [`ndcg`], with linear gain.
    Ndcg,
    /// See [`ndcg`], with exponential gain.
    NdcgExp,
    /// See [`recall`].
    Recall,
    /// See [`capped_recall`].
    CappedRecall,
    /// See [`reciprocal_rank`].
    Mrr,
    /// See [`precision`].
    Precision,
    /// See [`f1`].
    F1,
    /// See [`average_precision`].
    Map,
    /// See [`capped_average_precision`].
    CappedMap,
    /// See [`accuracy`].
    Accuracy,
    /// See [`r_precision`].
    RPrecision,
    /// See [`bpref`].
    Bpref,
    /// See [`inferred_average_precision`].
    InfAp,
    /// See [`rank_biased_precision`].
    Rbp,
    /// See [`graded_rank_biased_precision`].
    GradedRbp,
    /// See [`expected_reciprocal_rank`].
    Err,
    /// See [`judged`].
    Judged,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Ndcg,
        Self::NdcgExp,
        Self::Recall,
        Self::CappedRecall,
        Self::Mrr,
        Self::Precision,
        Self::F1,
        Self::Map,
        Self::CappedMap,
        Self::Accuracy,
        Self::RPrecision,
        Self::Bpref,
        Self::InfAp,
        Self::Rbp,
        Self::GradedRbp,
        Self::Err,
        Self::Judged,
    ];

    /// The name in front of `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndcg => "ndcg",
            Self::NdcgExp => "ndcg-exp",
            Self::Recall => "recall",
            Self::CappedRecall => "capped-recall",
            Self::Mrr => "mrr",
            Self::Precision => "precision",
            Self::F1 => "f1",
            Self::Map => "map",
            Self::CappedMap => "capped-map",
            Self::Accuracy => "accuracy",
            Self::RPrecision => "rprec",
            Self::Bpref => "bpref",
            Self::InfAp => "infap",
            Self::Rbp => "rbp",
            Self::GradedRbp => "graded-rbp",
            Self::Err => "err",
            Self::Judged => "judged",
        }
    }

    /// Whether the metric is taken at a rank; the others look at the whole ranking.
    pub fn has_cutoff(self) -> bool {
        !matches!(self, Self::RPrecision | Self::Bpref | Self::InfAp)
    }
}

/// A metric of the first k documents, or of all that were retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Metric {
    /// What is measured.
    pub kind: Kind,
    /// How many documents are looked at; all when absent.
    pub k: Option<NonZeroUsize>,
}

impl Metric {
    /// The value of one query; the metric of a system is the mean over queries.
    ///
    /// `ranked` and `ideal` are explained at the top of this crate.
    pub fn value(self, ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
        let k = self.k.map_or(usize::MAX, NonZeroUsize::get);
        // These divide by k: without one, by what was retrieved.
        let size = self.k.map_or(ranked.len(), NonZeroUsize::get);
        match self.kind {
            Kind::Ndcg => ndcg(ranked, ideal, k, Gain::Linear),
            Kind::NdcgExp => ndcg(ranked, ideal, k, Gain::Exponential),
            Kind::Recall => recall(ranked, ideal, k),
            Kind::CappedRecall => capped_recall(ranked, ideal, k),
            Kind::Mrr => reciprocal_rank(ranked, k),
            Kind::Precision => precision(ranked, size),
            Kind::F1 => f1(ranked, ideal, size),
            Kind::Map => average_precision(ranked, ideal, k),
            Kind::CappedMap => capped_average_precision(ranked, ideal, k),
            Kind::Accuracy => accuracy(ranked, k),
            Kind::RPrecision => r_precision(ranked, ideal),
            Kind::Bpref => bpref(ranked, ideal),
            Kind::InfAp => inferred_average_precision(ranked, ideal),
            Kind::Rbp => rank_biased_precision(ranked, k),
            Kind::GradedRbp => graded_rank_biased_precision(ranked, k),
            Kind::Err => expected_reciprocal_rank(ranked, k),
            Kind::Judged => judged(ranked, k),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.k {
            Some(k) => f.pad(&format!("{}@{k}", self.kind.name())),
            None => f.pad(self.kind.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for kind in Kind::ALL {
            let names = [kind.name().to_owned(), format!("{}@100", kind.name())];
            for name in names.iter().take(if kind.has_cutoff() { 2 } else { 1 }) {
                assert_eq!(name.parse::<Metric>().unwrap().to_string(), *name);
            }
        }
    }

    /// trec_eval's set measures: what was retrieved is all that there is.
    #[test]
    fn without_a_cutoff_all_that_was_retrieved_counts() {
        let value =
            |name: &str| name.parse::<Metric>().unwrap().value(&[Some(0), Some(1), None, Some(2)], &[2, 1, 1, 0]);
        assert_eq!((value("precision"), value("recall"), value("mrr")), (0.5, 2.0 / 3.0, 0.5));
        assert_eq!(value("f1"), 2.0 * 0.5 * (2.0 / 3.0) / (0.5 + 2.0 / 3.0));
        assert_eq!(value("ndcg"), value("ndcg@1000"));
    }
}
