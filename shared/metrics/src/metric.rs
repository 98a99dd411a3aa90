//! The metrics and their values.

use std::fmt;
use std::num::NonZeroUsize;

use crate::ranking::{
    Gain, accuracy, average_precision, bpref, capped_average_precision, capped_recall, expected_reciprocal_rank, f1,
    judged, ndcg, precision, r_precision, rank_biased_precision, recall, reciprocal_rank,
};

/// The quantity that a metric measures. R is the number of relevant documents of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Normalised discounted cumulative gain with linear gain: `DCG@k / IDCG@k`, `DCG@k = Σ relevance / log2(rank + 1)`
    /// (trec_eval `ndcg_cut_k`).
    Ndcg,
    /// The same with the gain `2^relevance - 1` (gdeval `ndcg@k`).
    NdcgExp,
    /// `|relevant in the top k| / R` (trec_eval `recall_k`).
    Recall,
    /// `|relevant in the top k| / min(k, R)` (BEIR `R_cap@k`).
    CappedRecall,
    /// `1 / rank` of the first relevant document in the top k, else 0 (trec_eval `recip_rank` of a run cut at k).
    Mrr,
    /// `|relevant in the top k| / k` (trec_eval `P_k`).
    Precision,
    /// The harmonic mean of precision and recall (trec_eval `set_F` of a run cut at k).
    F1,
    /// `(1 / R) Σ P@i` over the relevant ranks i up to k (trec_eval `map_cut_k`).
    Map,
    /// The same sum divided by `min(k, R)` (sentence-transformers `map@k`).
    CappedMap,
    /// 1 if a relevant document is in the top k, else 0 (trec_eval `success_k`; also known as hit rate).
    Accuracy,
    /// `P@R` (trec_eval `Rprec`).
    RPrecision,
    /// How rarely a document judged not relevant is ranked above a relevant one (trec_eval `bpref`).
    Bpref,
    /// `0.2 Σ 0.8^(i - 1)` over the relevant ranks i up to k (ir_measures `RBP(p=0.8)@k`).
    Rbp,
    /// Expected reciprocal rank at which a reader is satisfied, for grades from 0 to 4 (gdeval `err@k`).
    Err,
    /// The share of the top k that was judged at all (ir_measures `Judged@k`).
    Judged,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
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
        Self::Rbp,
        Self::Err,
        Self::Judged,
    ];

    /// The name before `@`.
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
            Self::Rbp => "rbp",
            Self::Err => "err",
            Self::Judged => "judged",
        }
    }

    /// Whether the metric takes a cutoff; the others always look at the whole ranking.
    pub fn has_cutoff(self) -> bool {
        !matches!(self, Self::RPrecision | Self::Bpref)
    }
}

/// A metric of the first k documents, or of all that were retrieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Metric {
    /// The quantity that is measured.
    pub kind: Kind,
    /// How many documents are looked at; all if absent.
    pub k: Option<NonZeroUsize>,
}

impl Metric {
    /// The value for one query; the metric of a system is the mean over its queries.
    ///
    /// The crate's documentation explains `ranked` and `ideal`.
    pub fn value(self, ranked: &[Option<i64>], ideal: &[i64]) -> f64 {
        let k = self.k.map_or(usize::MAX, NonZeroUsize::get);
        // Precision and F1 divide by k: without a cutoff, by the number of documents retrieved.
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
            Kind::Rbp => rank_biased_precision(ranked, k),
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

    /// As in trec_eval's set measures, every retrieved document counts.
    #[test]
    fn without_a_cutoff_all_that_was_retrieved_counts() {
        let value =
            |name: &str| name.parse::<Metric>().unwrap().value(&[Some(0), Some(1), None, Some(2)], &[2, 1, 1, 0]);
        assert_eq!((value("precision"), value("recall"), value("mrr")), (0.5, 2.0 / 3.0, 0.5));
        assert_eq!(value("f1"), 2.0 * 0.5 * (2.0 / 3.0) / (0.5 + 2.0 / 3.0));
        assert_eq!(value("ndcg"), value("ndcg@1000"));
    }
}
