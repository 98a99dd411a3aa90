//! Rules that affect a value besides the formula of its metric.

use std::cmp::Ordering;

use clap::ValueEnum;
use embtune_metrics::Ties;
use embtune_records::RunEntry;

use super::Compat;

/// Which of two documents with equal scores is ranked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TieRule {
    /// The greater id, byte by byte
    DocidDesc,
    /// The smaller id
    DocidAsc,
}

/// How to treat a judged query that a system did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissingPolicy {
    /// It counts as 0
    Zero,
    /// It is left out, for all systems
    Skip,
    /// It is an error
    Error,
}

/// How to treat a query without a relevant document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum NoRelevantPolicy {
    /// It counts as 0
    Zero,
    /// It is left out
    Skip,
}

/// What the user chose; the rest follows the program that is reproduced.
pub(crate) struct RuleSettings {
    pub(crate) compat: Option<Compat>,
    pub(crate) ties: Option<TieRule>,
    pub(crate) exclude_self: bool,
    pub(crate) missing: MissingPolicy,
    pub(crate) no_relevant: Option<NoRelevantPolicy>,
}

/// How documents are ranked and queries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) ties: Ties,
    /// Whether a document that has the query's id is left out.
    pub(crate) exclude_self: bool,
    pub(crate) missing: MissingPolicy,
    pub(crate) no_relevant: NoRelevantPolicy,
    /// Whether any relevance above 0 is 1.
    pub(crate) binary: bool,
    /// Whether scores are compared in single precision, which is all that trec_eval 9 and pytrec_eval keep of them.
    pub(crate) single_precision: bool,
}

impl Rules {
    pub(crate) fn new(settings: &RuleSettings) -> Self {
        let compat = settings.compat;
        let ties = match settings.ties {
            Some(TieRule::DocidDesc) => Ties::GreaterId,
            Some(TieRule::DocidAsc) => Ties::SmallerId,
            None if compat == Some(Compat::St) => Ties::SmallerId,
            None => Ties::GreaterId,
        };
        let no_relevant = if compat == Some(Compat::Trec) { NoRelevantPolicy::Zero } else { NoRelevantPolicy::Skip };
        Self {
            ties,
            exclude_self: settings.exclude_self || compat == Some(Compat::Beir),
            missing: settings.missing,
            no_relevant: settings.no_relevant.unwrap_or(no_relevant),
            binary: compat == Some(Compat::St),
            single_precision: compat == Some(Compat::Trec),
        }
    }

    /// The order in which two documents are ranked.
    pub(crate) fn order(&self, a: &RunEntry, b: &RunEntry) -> Ordering {
        let score = |entry: &RunEntry| if self.single_precision { f64::from(entry.score as f32) } else { entry.score };
        self.ties.order((score(a), &a.document), (score(b), &b.document))
    }
}
