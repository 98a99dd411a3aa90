//! The programs whose results can be reproduced, and their names for metrics.

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_metrics::{Kind, Metric};
use embtune_search::Similarity;

/// A program whose results are reproduced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compat {
    /// trec_eval -c
    Trec,
    /// InformationRetrievalEvaluator of sentence-transformers 6
    St,
    /// EvaluateRetrieval of BEIR
    Beir,
}

/// The metric that a program means by our name: sentence-transformers divides MAP by `min(k, R)`.
pub(crate) fn compatible_metric(compat: Option<Compat>, metric: Metric) -> Metric {
    match (compat, metric.kind) {
        (Some(Compat::St), Kind::Map) => Metric { kind: Kind::CappedMap, ..metric },
        _ => metric,
    }
}

/// The convention for names of metrics in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricNames {
    pub(crate) compat: Option<Compat>,
    pub(crate) similarity: Similarity,
}

impl MetricNames {
    /// Such as `ndcg@10`, `cosine_ndcg@10`, `NDCG@10` or `ndcg_cut_10`. Metrics that the program lacks keep our names.
    pub(crate) fn of(self, metric: Metric) -> String {
        match self.compat {
            None => metric.to_string(),
            Some(Compat::St) => {
                // It calls the capped MAP just MAP.
                let kind = if metric.kind == Kind::CappedMap { Kind::Map } else { metric.kind };
                format!("{}_{}", self.similarity_name(), Metric { kind, ..metric })
            }
            Some(Compat::Beir) => name_at(foreign_names(metric.kind)[2], metric),
            Some(Compat::Trec) => trec_name(metric),
        }
    }

    /// What sentence-transformers calls the similarity.
    pub(crate) fn similarity_name(self) -> String {
        value_name(self.similarity)
    }

    /// The value as the program reports it: BEIR rounds.
    pub(crate) fn value(self, value: f64) -> f64 {
        if self.compat == Some(Compat::Beir) { format!("{value:.5}").parse().unwrap_or(value) } else { value }
    }
}

/// What other programs call a metric: trec_eval with a cutoff and without, BEIR, and the CSV of sentence-transformers.
/// A program that lacks it has our name, or none.
const fn foreign_names(kind: Kind) -> [&'static str; 4] {
    match kind {
        Kind::Ndcg => ["ndcg_cut", "ndcg", "NDCG", "NDCG"],
        Kind::Map => ["map_cut", "map", "MAP", ""],
        Kind::Recall => ["recall", "set_recall", "Recall", "Recall"],
        Kind::Precision => ["P", "set_P", "P", "Precision"],
        Kind::F1 => ["F_cut", "set_F", "", ""],
        Kind::Mrr => ["recip_rank_cut", "recip_rank", "MRR", "MRR"],
        Kind::CappedRecall => ["relative_P", "set_relative_P", "R_cap", ""],
        Kind::Accuracy => ["success", "success", "Accuracy", "Accuracy"],
        Kind::RPrecision => ["Rprec", "Rprec", "", ""],
        Kind::Bpref => ["bpref", "bpref", "", ""],
        Kind::NdcgExp => ["ndcg_exp", "ndcg_exp", "", ""],
        Kind::CappedMap => ["capped_map", "capped_map", "", "MAP"],
        Kind::Rbp => ["rbp", "rbp", "", ""],
        Kind::Err => ["err", "err", "", ""],
        Kind::Judged => ["judged", "judged", "", ""],
    }
}

/// The header of a column in the CSV of sentence-transformers.
pub(crate) fn st_header(metric: Metric) -> String {
    name_at(foreign_names(metric.kind)[3], metric)
}

/// A name with the metric's cutoff; our name if the other program has none.
fn name_at(name: &str, metric: Metric) -> String {
    match metric.k {
        _ if name.is_empty() => metric.to_string(),
        Some(k) => format!("{name}@{k}"),
        None => name.to_owned(),
    }
}

/// The name in trec_eval, which has no cutoff for the reciprocal rank.
pub(crate) fn trec_name(metric: Metric) -> String {
    let [cut, whole, ..] = foreign_names(metric.kind);
    metric.k.map_or_else(|| whole.to_owned(), |k| format!("{cut}_{k}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_own_names() {
        let name =
            |compat, metric: &str| MetricNames { compat, similarity: Similarity::Dot }.of(metric.parse().unwrap());
        assert_eq!(name(None, "capped-map@10"), "capped-map@10");
        assert_eq!(name(Some(Compat::St), "capped-map@100"), "dot_map@100");
        assert_eq!(name(Some(Compat::St), "accuracy@1"), "dot_accuracy@1");
        assert_eq!(name(Some(Compat::Beir), "capped-recall@5"), "R_cap@5");
        assert_eq!(name(Some(Compat::Beir), "bpref"), "bpref");
        assert_eq!(name(Some(Compat::Trec), "ndcg@10"), "ndcg_cut_10");
        assert_eq!(name(Some(Compat::Trec), "mrr"), "recip_rank");
        assert_eq!(name(Some(Compat::Trec), "judged@10"), "judged_10");
    }
}
