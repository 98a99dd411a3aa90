//! Metrics by name: ours, such as `ndcg@10`, and those of other programs where they mean the same.

use std::num::NonZeroUsize;
use std::str::FromStr;

use strsim::normalized_damerau_levenshtein;

use crate::{Kind, Metric};

/// Whether a name takes a cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cutoff {
    /// Without a cutoff, the name means something else in its own program.
    Required,
    Optional,
    /// The metric looks at everything that was retrieved.
    Never,
}

/// Names that other programs have for our metrics, in lower case and with _ for -.
///
/// trec_eval 9 and 10 (m_*.c), pytrec_eval, ir_measures 0.4, ranx 0.3, BEIR 2, MTEB 2, and what `ir-eval --compat trec`
/// writes for metrics that trec_eval lacks.
const ALIASES: [(&str, Kind, Cutoff); 34] = [
    ("ndcg_cut", Kind::Ndcg, Cutoff::Required),
    ("ndcg_burges", Kind::NdcgExp, Cutoff::Optional),
    ("r", Kind::Recall, Cutoff::Required),
    ("set_recall", Kind::Recall, Cutoff::Never),
    ("setr", Kind::Recall, Cutoff::Never),
    ("r_cap", Kind::CappedRecall, Cutoff::Required),
    ("recall_cap", Kind::CappedRecall, Cutoff::Required),
    ("relative_p", Kind::CappedRecall, Cutoff::Required),
    ("set_relative_p", Kind::CappedRecall, Cutoff::Never),
    ("recip_rank", Kind::Mrr, Cutoff::Never),
    ("recip_rank_cut", Kind::Mrr, Cutoff::Required),
    ("rr", Kind::Mrr, Cutoff::Optional),
    ("reciprocal_rank", Kind::Mrr, Cutoff::Optional),
    ("p", Kind::Precision, Cutoff::Required),
    ("prec", Kind::Precision, Cutoff::Required),
    ("set_p", Kind::Precision, Cutoff::Never),
    ("setp", Kind::Precision, Cutoff::Never),
    ("f", Kind::F1, Cutoff::Required),
    ("f_cut", Kind::F1, Cutoff::Required),
    ("set_f", Kind::F1, Cutoff::Never),
    ("setf", Kind::F1, Cutoff::Never),
    ("ap", Kind::Map, Cutoff::Optional),
    ("average_precision", Kind::Map, Cutoff::Optional),
    ("map_cut", Kind::Map, Cutoff::Required),
    ("success", Kind::Accuracy, Cutoff::Required),
    ("hit", Kind::Accuracy, Cutoff::Required),
    ("hit_rate", Kind::Accuracy, Cutoff::Required),
    ("hitrate", Kind::Accuracy, Cutoff::Required),
    ("hr", Kind::Accuracy, Cutoff::Required),
    ("acc", Kind::Accuracy, Cutoff::Required),
    ("top_k_accuracy", Kind::Accuracy, Cutoff::Required),
    ("r_prec", Kind::RPrecision, Cutoff::Never),
    ("r_precision", Kind::RPrecision, Cutoff::Never),
    ("ndcg_exponential", Kind::NdcgExp, Cutoff::Optional),
];

/// Well-known metrics that are not computed here, with their meaning and the closest metric that is.
const NOT_COMPUTED: [(&str, &str); 10] = [
    ("hits", "counts documents; precision@k divides that by k, recall@k by the number of relevant documents"),
    ("dcg", "is not normalised; ndcg@k divides it by the best possible value"),
    ("dcg_burges", "is not normalised; ndcg-exp@k divides it by the best possible value"),
    ("hole", "counts documents that are unjudged for every query (BEIR); judged@k looks at each query's own judgments"),
    ("unj", "is the share of k that is unjudged; judged@k is the share of the retrieved documents that is judged"),
    ("set_map", "is precision times recall; map averages the precision at each relevant document"),
    ("setap", "is precision times recall; map averages the precision at each relevant document"),
    ("gm_map", "is a geometric mean over the queries; map is the arithmetic mean"),
    ("ndcg_rel", "is relative to the retrieved documents; ndcg is relative to all judged documents"),
    ("main_score", "depends on the task (MTEB); most retrieval tasks use ndcg@10"),
];

/// Prefixes of sentence-transformers' metric names.
const SIMILARITIES: [&str; 6] = ["cosine_", "cos_sim_", "dot_", "dot_score_", "euclidean_", "manhattan_"];

/// The most suggestions for an unknown name, and how similar they must be to it.
const MAX_SUGGESTIONS: usize = 3;
const MIN_SIMILARITY: f64 = 0.5;

/// Why a text does not name a metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMetricError {
    /// No program has such a metric.
    #[error("unknown metric \"{name}\"{}; available: {}", suggestions(.name), Kind::ALL.map(Kind::name).join(", "))]
    UnknownName {
        /// The text before the cutoff.
        name: String,
    },
    /// The cutoff is not a positive whole number.
    #[error("the cutoff must be a positive whole number, found \"{0}\"")]
    BadCutoff(String),
    /// The metric looks at the whole ranking.
    #[error("{0} takes no cutoff: it looks at the whole ranking")]
    NoCutoff(&'static str),
    /// The name takes no cutoff in its own program.
    #[error("{name} takes no cutoff; use {instead}")]
    CutoffOfWhole {
        /// The name as written.
        name: String,
        /// The metric that takes one.
        instead: Metric,
    },
    /// Without a cutoff, the name means something else in its own program.
    #[error("{name} needs a cutoff, such as {}@10", .kind.name())]
    NeedsCutoff {
        /// The name as written.
        name: String,
        /// The quantity that it measures.
        kind: Kind,
    },
    /// The name means something that is not computed here.
    #[error("{name} {what}")]
    NotComputed {
        /// The name as written.
        name: String,
        /// Its meaning, and the closest metric that is computed.
        what: &'static str,
    },
    /// A name of sentence-transformers, whose evaluator has its own rules.
    #[error(
        "{name} is a metric of sentence-transformers, which ignores grades of relevance\n\
         hint: use {metric}; ir-eval --compat st computes it as sentence-transformers does"
    )]
    OfSimilarity {
        /// The name as written.
        name: String,
        /// The metric without the similarity.
        metric: Metric,
    },
    /// A parameter in parentheses that the metric does not have here.
    #[error("{metric} does not support the parameter \"{parameter}\"")]
    Parameter {
        /// The name before the parenthesis.
        metric: String,
        /// The parameter as written.
        parameter: String,
    },
}

/// The names most similar to an unknown one, as the middle of a sentence.
fn suggestions(name: &str) -> String {
    if name.parse::<f64>().is_ok() {
        return ": each metric has its own cutoff (ndcg@5,ndcg@10)".into();
    }
    let name = normalized(name);
    let ours = Kind::ALL.map(|kind| (kind.name(), kind));
    let mut known: Vec<(f64, Kind)> = ours
        .into_iter()
        .chain(ALIASES.map(|(alias, kind, _)| (alias, kind)))
        .map(|(known, kind)| (normalized_damerau_levenshtein(&name, known), kind))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut names: Vec<&str> = Vec::new();
    for (_, kind) in known {
        if names.len() < MAX_SUGGESTIONS && !names.contains(&kind.name()) {
            names.push(kind.name());
        }
    }
    if names.is_empty() { String::new() } else { format!("; similar: {}", names.join(", ")) }
}

/// A name as it is spelled in the tables above.
fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

impl FromStr for Metric {
    type Err = ParseMetricError;

    /// Reads `ndcg@10` and how other programs spell it: `NDCG@10`, `ndcg_cut_10`, `ndcg_cut.10`, `ndcg_at_10`,
    /// `nDCG(dcg='log2')@10`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some((name, rest)) = text.split_once('(') {
            return with_parameters(name, rest);
        }
        let (name, cutoff) = split_cutoff(text);
        let k = cutoff.map(|k| k.parse().map_err(|_| ParseMetricError::BadCutoff(k.into()))).transpose();
        named(name, cutoff.is_some(), k)
    }
}

/// Splits a text into name and cutoff. `@` always starts a cutoff; the other separators may be part of a name.
fn split_cutoff(text: &str) -> (&str, Option<&str>) {
    if let Some((name, k)) = text.split_once('@') {
        return (name, Some(k));
    }
    let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let k = &text[name.len()..];
    // ranx writes the persistence of RBP after a point: rbp.95.
    let is_persistence = normalized(name) == "rbp.";
    for separator in ["_at_", "_", "."].into_iter().filter(|_| !k.is_empty() && !is_persistence) {
        if let Some(name) = name.strip_suffix(separator) {
            return (name, Some(k));
        }
    }
    (text, None)
}

/// The metric of a name and a cutoff; `k` is an error if the cutoff is not a number.
fn named(
    name: &str,
    has_cutoff: bool,
    k: Result<Option<NonZeroUsize>, ParseMetricError>,
) -> Result<Metric, ParseMetricError> {
    let written = || name.to_owned();
    let normalized = normalized(name);
    if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name().replace('-', "_") == normalized) {
        return if has_cutoff && !kind.has_cutoff() {
            Err(ParseMetricError::NoCutoff(kind.name()))
        } else {
            Ok(Metric { kind, k: k? })
        };
    }
    if let Some((_, kind, cutoff)) = ALIASES.into_iter().find(|(alias, ..)| *alias == normalized) {
        return match cutoff {
            Cutoff::Required if !has_cutoff => Err(ParseMetricError::NeedsCutoff { name: written(), kind }),
            Cutoff::Never if has_cutoff && !kind.has_cutoff() => Err(ParseMetricError::NoCutoff(kind.name())),
            Cutoff::Never if has_cutoff => {
                Err(ParseMetricError::CutoffOfWhole { name: written(), instead: Metric { kind, k: k? } })
            }
            _ => Ok(Metric { kind, k: k? }),
        };
    }
    if let Some((_, what)) = NOT_COMPUTED.into_iter().find(|(other, _)| *other == normalized) {
        return Err(ParseMetricError::NotComputed { name: written(), what });
    }
    // The longest prefix that matches: dot_score_ before dot_.
    let prefix = SIMILARITIES.into_iter().filter(|prefix| normalized.starts_with(prefix)).max_by_key(|s| s.len());
    if let Some(metric) = prefix.and_then(|prefix| named(&normalized[prefix.len()..], has_cutoff, k).ok()) {
        return Err(ParseMetricError::OfSimilarity { name: written(), metric });
    }
    Err(ParseMetricError::UnknownName { name: written() })
}

/// Parameters of ir_measures in parentheses: those that say what holds here anyway, and the gain of nDCG.
fn with_parameters(name: &str, rest: &str) -> Result<Metric, ParseMetricError> {
    let (parameters, cutoff) = rest.split_once(')').unwrap_or((rest, ""));
    let mut metric = name;
    for parameter in parameters.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        match (&*normalized(name), &*parameter.replace(['\'', '"', ' '], "")) {
            (_, "rel=1" | "cutoff=None") | ("ndcg", "dcg=log2") | ("rbp", "p=0.8") => {}
            ("ndcg", "dcg=exp-log2") => metric = Kind::NdcgExp.name(),
            _ => {
                return Err(ParseMetricError::Parameter { metric: name.to_owned(), parameter: parameter.to_owned() });
            }
        }
    }
    format!("{metric}{cutoff}").parse()
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
            ("recip_rank_10", "recip_rank takes no cutoff; use mrr@10"),
            ("recip_rank@10", "recip_rank takes no cutoff; use mrr@10"),
            ("set_P_5", "set_P takes no cutoff; use precision@5"),
            ("bpref@10", "bpref takes no cutoff: it looks at the whole ranking"),
            ("Rprec_10", "rprec takes no cutoff: it looks at the whole ranking"),
            ("r_precision@5", "rprec takes no cutoff: it looks at the whole ranking"),
            ("P", "P needs a cutoff, such as precision@10"),
            ("ndcg_cut", "ndcg_cut needs a cutoff, such as ndcg@10"),
            ("success", "success needs a cutoff, such as accuracy@10"),
            ("hits@10", "hits counts documents"),
            ("Hole@10", "Hole counts documents that are unjudged for every query (BEIR)"),
            ("DCG@10", "DCG is not normalised"),
            (
                "cosine_ndcg@10",
                "cosine_ndcg is a metric of sentence-transformers, which ignores grades of relevance\nhint: use ndcg@10",
            ),
            ("dot_score_map@100", "dot_score_map is a metric of sentence-transformers"),
            ("cosine-Accuracy@1", "cosine-Accuracy is a metric of sentence-transformers"),
            ("P(rel=2)@5", "P does not support the parameter \"rel=2\""),
            ("RBP(p=0.95)", "RBP does not support the parameter \"p=0.95\""),
            ("ndcg@10-l2", "the cutoff must be a positive whole number, found \"10-l2\""),
        ] {
            let message = ours(name);
            assert!(message.starts_with(expected), "{name}: {message}");
        }
        for bad in ["map@0", "map@", "map@-1", "map@1.5", "map@x", "map_0", "ndcg@99999999999999999999"] {
            let message = ours(bad);
            assert!(message.starts_with("the cutoff must be a positive whole number"), "{bad}: {message}");
        }
    }

    #[test]
    fn similar_names_are_suggested() {
        for (name, expected) in [
            ("ndgc@10", "unknown metric \"ndgc\"; similar: ndcg"),
            ("ndgc@10", "; available: ndcg, ndcg-exp, recall"),
            ("recal_5", "unknown metric \"recal\"; similar: recall, capped-recall"),
            ("precission@5", "; similar: precision"),
            ("xyzzy", "unknown metric \"xyzzy\"; available: "),
            ("10", "unknown metric \"10\": each metric has its own cutoff (ndcg@5,ndcg@10)"),
            ("rbp.95", "unknown metric \"rbp.95\"; similar: rbp"),
            ("infAP", "unknown metric \"infAP\"; available: "),
            ("graded-rbp@10", "unknown metric \"graded-rbp\"; available: "),
            ("", "unknown metric \"\"; available: "),
        ] {
            assert!(ours(name).contains(expected), "{name}: {}", ours(name));
        }
    }
}
