//! Metrics by name: ours, such as `ndcg@10`, and those of other programs, where they mean the same.

use std::num::NonZeroUsize;
use std::str::FromStr;

use strsim::normalized_damerau_levenshtein;

use crate::{Kind, Metric};

/// Whether a name goes with a cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cutoff {
    /// Without one, its home means something else by it.
    Needed,
    Optional,
    /// What was retrieved is looked at as a whole.
    Never,
}

/// Names that other programs have for our metrics, in small letters and with _ for -.
///
/// trec_eval 9 and 10 (m_*.c), pytrec_eval, ir_measures 0.4, ranx 0.3, BEIR 2, MTEB 2, and what `ir-eval --compat trec`
/// writes where trec_eval has no name.
const ALIASES: [(&str, Kind, Cutoff); 36] = [
    ("ndcg_cut", Kind::Ndcg, Cutoff::Needed),
    ("ndcg_burges", Kind::NdcgExp, Cutoff::Optional),
    ("r", Kind::Recall, Cutoff::Needed),
    ("set_recall", Kind::Recall, Cutoff::Never),
    ("setr", Kind::Recall, Cutoff::Never),
    ("r_cap", Kind::CappedRecall, Cutoff::Needed),
    ("recall_cap", Kind::CappedRecall, Cutoff::Needed),
    ("relative_p", Kind::CappedRecall, Cutoff::Needed),
    ("set_relative_p", Kind::CappedRecall, Cutoff::Never),
    ("recip_rank", Kind::Mrr, Cutoff::Never),
    ("recip_rank_cut", Kind::Mrr, Cutoff::Needed),
    ("rr", Kind::Mrr, Cutoff::Optional),
    ("reciprocal_rank", Kind::Mrr, Cutoff::Optional),
    ("p", Kind::Precision, Cutoff::Needed),
    ("prec", Kind::Precision, Cutoff::Needed),
    ("set_p", Kind::Precision, Cutoff::Never),
    ("setp", Kind::Precision, Cutoff::Never),
    ("f", Kind::F1, Cutoff::Needed),
    ("f_cut", Kind::F1, Cutoff::Needed),
    ("set_f", Kind::F1, Cutoff::Never),
    ("setf", Kind::F1, Cutoff::Never),
    ("ap", Kind::Map, Cutoff::Optional),
    ("average_precision", Kind::Map, Cutoff::Optional),
    ("map_cut", Kind::Map, Cutoff::Needed),
    ("success", Kind::Accuracy, Cutoff::Needed),
    ("hit", Kind::Accuracy, Cutoff::Needed),
    ("hit_rate", Kind::Accuracy, Cutoff::Needed),
    ("hitrate", Kind::Accuracy, Cutoff::Needed),
    ("hr", Kind::Accuracy, Cutoff::Needed),
    ("acc", Kind::Accuracy, Cutoff::Needed),
    ("top_k_accuracy", Kind::Accuracy, Cutoff::Needed),
    ("r_prec", Kind::RPrecision, Cutoff::Never),
    ("r_precision", Kind::RPrecision, Cutoff::Never),
    ("inf_ap", Kind::InfAp, Cutoff::Never),
    ("rbp_graded", Kind::GradedRbp, Cutoff::Optional),
    ("ndcg_exponential", Kind::NdcgExp, Cutoff::Optional),
];

/// Names of what is no metric here, and is near one that is.
const ELSEWHERE: [(&str, &str); 10] = [
    ("hits", "a number of documents, not a share: precision@k divides it by k, recall@k by all that are relevant"),
    ("dcg", "no share: ndcg@k divides it by the best that is possible"),
    ("dcg_burges", "no share: ndcg-exp@k divides it by the best that is possible"),
    ("hole", "by what is judged for any query (BEIR); judged@k is the share that is judged for the query itself"),
    ("unj", "the share of k that is not judged; judged@k is the share of what was retrieved that is"),
    ("set_map", "precision times recall times R; map is the mean of the precisions"),
    ("setap", "precision times recall times R; map is the mean of the precisions"),
    ("gm_map", "a geometric mean; map has the arithmetic one"),
    ("ndcg_rel", "relative to what was retrieved; ndcg is relative to all that was judged"),
    ("main_score", "a task's own choice (MTEB): ndcg@10 of most tasks of retrieval"),
];

/// How sentence-transformers begins the names of its figures.
const SIMILARITIES: [&str; 6] = ["cosine_", "cos_sim_", "dot_", "dot_score_", "euclidean_", "manhattan_"];

/// Names that are shown as near to one that is unknown, and how near they must be.
const SHOWN: usize = 3;
const NEAR: f64 = 0.5;

/// Why a text names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMetricError {
    /// Neither we nor others have such a name.
    #[error("no metric is called \"{name}\"{}; there are {}", nearest(.name), Kind::ALL.map(Kind::name).join(", "))]
    UnknownName {
        /// What was found in front of the cutoff.
        name: String,
    },
    /// What should be the cutoff is no whole number from 1 on.
    #[error("the cutoff behind @ must be a whole number from 1 on, found \"{0}\"")]
    BadCutoff(String),
    /// The metric looks at the whole ranking.
    #[error("{0} looks at the whole ranking: it has no cutoff")]
    NoCutoff(&'static str),
    /// The name has no cutoff where it comes from.
    #[error("{name} has no cutoff where it comes from; {instead} has")]
    CutoffOfWhole {
        /// The name, as it was written.
        name: String,
        /// The same with a cutoff.
        instead: Metric,
    },
    /// Without a cutoff, the name means something else where it comes from.
    #[error("{name} needs a cutoff, such as {}@10", .kind.name())]
    NeedsCutoff {
        /// The name, as it was written.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// The name means something that is not computed here.
    #[error("{name} is {what}")]
    Elsewhere {
        /// The name, as it was written.
        name: String,
        /// What it is, and what comes near.
        what: &'static str,
    },
    /// A figure of sentence-transformers, whose evaluator has rules of its own.
    #[error(
        "{name} is a figure of sentence-transformers, which knows no grades\n\
         hint: {metric} is ours; ir-eval --compat st computes {metric} as sentence-transformers does"
    )]
    OfSimilarity {
        /// The name, as it was written.
        name: String,
        /// The metric without the similarity.
        metric: Metric,
    },
    /// What stands in parentheses is no setting of the metric here.
    #[error("{metric} has no setting \"{setting}\" here")]
    Setting {
        /// What stands in front.
        metric: String,
        /// What was asked for.
        setting: String,
    },
}

/// The names that come near to one that is unknown, as the middle of a sentence.
fn nearest(name: &str) -> String {
    if name.parse::<f64>().is_ok() {
        return ": each has a cutoff of its own (ndcg@5,ndcg@10)".into();
    }
    let name = plain(name);
    let near = |(known, kind): (&str, Kind)| (normalized_damerau_levenshtein(&name, known), kind);
    let ours = Kind::ALL.map(|kind| (kind.name(), kind));
    let mut all: Vec<(f64, Kind)> =
        ours.into_iter().chain(ALIASES.map(|(alias, kind, _)| (alias, kind))).map(near).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut names: Vec<&str> = Vec::new();
    for (_, kind) in all.into_iter().filter(|(likeness, _)| *likeness >= NEAR) {
        if names.len() < SHOWN && !names.contains(&kind.name()) {
            names.push(kind.name());
        }
    }
    match names[..] {
        [] => String::new(),
        [one] => format!("; the nearest is {one}"),
        _ => format!("; the nearest are {}", names.join(", ")),
    }
}

/// A name as it stands in the tables.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

impl FromStr for Metric {
    type Err = ParseMetricError;

    /// Reads `ndcg@10`, and what other programs write for it: `NDCG@10`, `ndcg_cut_10`, `ndcg_cut.10`, `ndcg_at_10`,
    /// `nDCG(dcg='log2')@10`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some((name, rest)) = text.split_once('(') {
            return with_setting(name, rest);
        }
        let (name, cutoff) = divide(text);
        let k = cutoff.map(|k| k.parse().map_err(|_| ParseMetricError::BadCutoff(k.into()))).transpose();
        named(name, cutoff.is_some(), k)
    }
}

/// The name and the cutoff, as they are written. An at sign must have one, other signs may be part of the name.
fn divide(text: &str) -> (&str, Option<&str>) {
    if let Some((name, k)) = text.split_once('@') {
        return (name, Some(k));
    }
    let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let k = &text[name.len()..];
    // The number behind the point of rbp.95 (ranx) is no cutoff.
    let of_rbp = plain(name) == "rbp.";
    for sign in ["_at_", "_", "."].into_iter().filter(|_| !k.is_empty() && !of_rbp) {
        if let Some(name) = name.strip_suffix(sign) {
            return (name, Some(k));
        }
    }
    (text, None)
}

/// The metric of a name and a cutoff, if that is there and a number.
fn named(
    name: &str,
    has_cutoff: bool,
    k: Result<Option<NonZeroUsize>, ParseMetricError>,
) -> Result<Metric, ParseMetricError> {
    let written = || name.to_owned();
    let plain = plain(name);
    let ours = |kind: &Kind| kind.name().replace('-', "_") == plain;
    if let Some(kind) = Kind::ALL.into_iter().find(ours) {
        return if has_cutoff && !kind.has_cutoff() {
            Err(ParseMetricError::NoCutoff(kind.name()))
        } else {
            Ok(Metric { kind, k: k? })
        };
    }
    if let Some((_, kind, cutoff)) = ALIASES.into_iter().find(|(alias, ..)| *alias == plain) {
        return match cutoff {
            Cutoff::Needed if !has_cutoff => Err(ParseMetricError::NeedsCutoff { name: written(), kind }),
            Cutoff::Never if has_cutoff && !kind.has_cutoff() => Err(ParseMetricError::NoCutoff(kind.name())),
            Cutoff::Never if has_cutoff => {
                Err(ParseMetricError::CutoffOfWhole { name: written(), instead: Metric { kind, k: k? } })
            }
            _ => Ok(Metric { kind, k: k? }),
        };
    }
    if let Some((_, what)) = ELSEWHERE.into_iter().find(|(other, _)| *other == plain) {
        return Err(ParseMetricError::Elsewhere { name: written(), what });
    }
    // The longest of those that fit: dot_score_ before dot_.
    let similarity =
        SIMILARITIES.into_iter().filter(|similarity| plain.starts_with(similarity)).max_by_key(|s| s.len());
    if let Some(metric) = similarity.and_then(|similarity| named(&plain[similarity.len()..], has_cutoff, k).ok()) {
        return Err(ParseMetricError::OfSimilarity { name: written(), metric });
    }
    Err(ParseMetricError::UnknownName { name: written() })
}

/// ir_measures' settings in parentheses: those that say what is so anyway, and the gain of nDCG.
fn with_setting(name: &str, rest: &str) -> Result<Metric, ParseMetricError> {
    let (settings, cutoff) = rest.split_once(')').unwrap_or((rest, ""));
    let mut name = name;
    for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
        match (&*plain(name), &*setting.replace(['\'', '"', ' '], "")) {
            (_, "rel=1" | "cutoff=None") | ("ndcg", "dcg=log2") | ("rbp", "p=0.8") => {}
            ("ndcg", "dcg=exp-log2") => name = Kind::NdcgExp.name(),
            _ => return Err(ParseMetricError::Setting { metric: name.to_owned(), setting: setting.to_owned() }),
        }
    }
    format!("{name}{cutoff}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> String {
        text.parse::<Metric>().map_or_else(|error| error.to_string(), |metric| metric.to_string())
    }

    #[test]
    fn names_of_other_programs_are_ours() {
        for (theirs, expected) in [
            ("NDCG@10 nDCG@10 ndcg_cut_10 ndcg_cut.10 NDCG_CUT@10 ndcg_at_10 ndcg_10 nDCG(dcg='log2')@10", "ndcg@10"),
            ("ndcg nDCG", "ndcg"),
            ("nDCG(dcg='exp-log2')@20 ndcg_burges@20 ndcg_exp@20 NDCG-EXP@20", "ndcg-exp@20"),
            ("MRR@10 mrr_at_10 RR@10 RR(rel=1)@10 recip_rank_cut_10", "mrr@10"),
            ("MRR mrr RR recip_rank reciprocal_rank", "mrr"),
            ("P@5 P_5 P.5 p_5 precision@5 Precision@5 precision_at_5 prec@5 P(rel=1)@5", "precision@5"),
            ("set_P SetP Precision", "precision"),
            ("Recall@100 R@100 recall_100 recall.100 recall_at_100", "recall@100"),
            ("R_cap@10 relative_P_10 capped_recall@10 recall_cap_at_10", "capped-recall@10"),
            ("MAP@100 map@100 map_cut_100 map_cut.100 map_at_100 AP@100", "map@100"),
            ("MAP map AP", "map"),
            (
                "hit@1 hit_rate@1 hit_rate_at_1 success@1 success_1 Success@1 Accuracy@1 acc@1 top_k_accuracy@1",
                "accuracy@1",
            ),
            ("Rprec R-prec r_precision", "rprec"),
            ("bpref Bpref BPREF", "bpref"),
            ("infAP", "infap"),
            ("F1@5 f1@5 F_cut_5", "f1@5"),
            ("set_F SetF F1", "f1"),
            ("RBP(p=0.8)@10 rbp@10", "rbp@10"),
            ("ERR@20", "err@20"),
            ("Judged@10 judged_10", "judged@10"),
        ] {
            for name in theirs.split(' ') {
                assert_eq!(ours(name), expected, "{name}");
            }
        }
    }

    #[test]
    fn other_definitions_are_refused_by_name() {
        for (name, expected) in [
            ("recip_rank_10", "recip_rank has no cutoff where it comes from; mrr@10 has"),
            ("recip_rank@10", "recip_rank has no cutoff where it comes from; mrr@10 has"),
            ("set_P_5", "set_P has no cutoff where it comes from; precision@5 has"),
            ("bpref@10", "bpref looks at the whole ranking: it has no cutoff"),
            ("Rprec_10", "rprec looks at the whole ranking: it has no cutoff"),
            ("r_precision@5", "rprec looks at the whole ranking: it has no cutoff"),
            ("P", "P needs a cutoff, such as precision@10"),
            ("ndcg_cut", "ndcg_cut needs a cutoff, such as ndcg@10"),
            ("success", "success needs a cutoff, such as accuracy@10"),
            ("hits@10", "hits is a number of documents, not a share"),
            ("Hole@10", "Hole is by what is judged for any query (BEIR)"),
            ("DCG@10", "DCG is no share"),
            (
                "cosine_ndcg@10",
                "cosine_ndcg is a figure of sentence-transformers, which knows no grades\nhint: ndcg@10 is",
            ),
            ("dot_score_map@100", "dot_score_map is a figure of sentence-transformers"),
            ("cosine-Accuracy@1", "cosine-Accuracy is a figure of sentence-transformers"),
            ("P(rel=2)@5", "P has no setting \"rel=2\" here"),
            ("RBP(p=0.95)", "RBP has no setting \"p=0.95\" here"),
            ("ndcg@10-l2", "the cutoff behind @ must be a whole number from 1 on, found \"10-l2\""),
        ] {
            let message = ours(name);
            assert!(message.starts_with(expected), "{name}: {message}");
        }
        for bad in ["map@0", "map@", "map@-1", "map@1.5", "map@x", "map_0", "ndcg@99999999999999999999"] {
            let message = ours(bad);
            assert!(message.starts_with("the cutoff behind @ must be a whole number from 1 on"), "{bad}: {message}");
        }
    }

    #[test]
    fn the_nearest_names_are_said() {
        for (name, expected) in [
            ("ndgc@10", "no metric is called \"ndgc\"; the nearest is ndcg"),
            ("ndgc@10", "; there are ndcg, ndcg-exp, recall"),
            ("recal_5", "no metric is called \"recal\"; the nearest are recall, capped-recall"),
            ("precission@5", "; the nearest are precision"),
            ("xyzzy", "no metric is called \"xyzzy\"; there are"),
            ("10", "no metric is called \"10\": each has a cutoff of its own (ndcg@5,ndcg@10)"),
            ("rbp.95", "no metric is called \"rbp.95\"; the nearest"),
            ("", "no metric is called \"\"; there are"),
        ] {
            assert!(ours(name).contains(expected), "{name}: {}", ours(name));
        }
    }
}
