//! Rules that affect a value besides the formula of its metric.

use std::cmp::Ordering;

use clap::ValueEnum;
use embtune_metrics::Ties;
use embtune_records::RunEntry;

use super::{Compat, MetricArgs};

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
    /// What the user chose; the rest follows the program that is reproduced.
    pub(crate) fn new(args: &MetricArgs) -> Self {
        let compat = args.compat;
        let is_ascending = args.ties.map_or(compat == Some(Compat::St), |rule| rule == TieRule::DocidAsc);
        let no_relevant = if compat == Some(Compat::Trec) { NoRelevantPolicy::Zero } else { NoRelevantPolicy::Skip };
        Self {
            ties: if is_ascending { Ties::SmallerId } else { Ties::GreaterId },
            exclude_self: args.exclude_self || compat == Some(Compat::Beir),
            missing: args.missing,
            no_relevant: args.no_relevant.unwrap_or(no_relevant),
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
