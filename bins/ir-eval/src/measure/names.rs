//! What a figure is called, and how it is written.

use embtune_metrics::{Kind, Metric};

use crate::cli::{Compat, SimilarityArg};

/// The names that a program gives to figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) compat: Option<Compat>,
    pub(crate) similarity: SimilarityArg,
}

impl Names {
    /// Such as `ndcg@10`, `cosine_ndcg@10`, `NDCG@10` or `ndcg_cut_10`; our own where the program has no such figure.
    pub(crate) fn of(self, metric: Metric) -> String {
        match self.compat {
            None => metric.to_string(),
            Some(Compat::St) => format!("{}_{}", self.function(), st(metric, &metric.to_string())),
            Some(Compat::Beir) => beir(metric),
            Some(Compat::Trec) => trec(metric),
        }
    }

    /// How sentence-transformers calls the similarity.
    pub(crate) fn function(self) -> &'static str {
        match self.similarity {
            SimilarityArg::Cosine => "cosine",
            SimilarityArg::Dot => "dot",
            SimilarityArg::Euclidean => "euclidean",
        }
    }

    /// The figure as the program gives it: BEIR rounds.
    pub(crate) fn value(self, value: f64) -> f64 {
        if self.compat == Some(Compat::Beir) { format!("{value:.5}").parse().unwrap_or(value) } else { value }
    }
}

fn st(metric: Metric, ours: &str) -> String {
    if metric.kind == Kind::CappedMap { ours.replace("capped-", "") } else { ours.to_owned() }
}

fn beir(metric: Metric) -> String {
    let name = match metric.kind {
        Kind::Ndcg => "NDCG",
        Kind::Map => "MAP",
        Kind::Recall => "Recall",
        Kind::Precision => "P",
        Kind::Mrr => "MRR",
        Kind::CappedRecall => "R_cap",
        Kind::Accuracy => "Accuracy",
        _ => return metric.to_string(),
    };
    metric.k.map_or_else(|| name.to_owned(), |k| format!("{name}@{k}"))
}

/// The names of trec_eval, whose reciprocal rank has no cutoff.
pub(crate) fn trec(metric: Metric) -> String {
    let (cut, whole) = match metric.kind {
        Kind::Ndcg => ("ndcg_cut", "ndcg"),
        Kind::Map => ("map_cut", "map"),
        Kind::Recall => ("recall", "set_recall"),
        Kind::Precision => ("P", "set_P"),
        Kind::F1 => ("F_cut", "set_F"),
        Kind::Mrr => ("recip_rank_cut", "recip_rank"),
        Kind::CappedRecall => ("relative_P", "set_relative_P"),
        Kind::Accuracy => ("success", "success"),
        Kind::RPrecision => ("Rprec", "Rprec"),
        Kind::Bpref => ("bpref", "bpref"),
        Kind::InfAp => ("infAP", "infAP"),
        Kind::NdcgExp | Kind::CappedMap | Kind::Rbp | Kind::GradedRbp | Kind::Err | Kind::Judged => {
            let name = metric.kind.name().replace('-', "_");
            return metric.k.map_or_else(|| name.clone(), |k| format!("{name}_{k}"));
        }
    };
    metric.k.map_or_else(|| whole.to_owned(), |k| format!("{cut}_{k}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_own() {
        let name = |compat, metric: &str| Names { compat, similarity: SimilarityArg::Dot }.of(metric.parse().unwrap());
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
