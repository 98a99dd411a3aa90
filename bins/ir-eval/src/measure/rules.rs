//! What a figure depends on besides its formula.

use std::cmp::Ordering;

use embtune_metrics::Ties;
use embtune_records::RunEntry;

use crate::cli::{Compat, MetricArgs, Missing, NoRelevant};

/// How rankings are read and queries are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) ties: Ties,
    /// Whether a document that has the query's id is left out.
    pub(crate) exclude_self: bool,
    pub(crate) missing: Missing,
    pub(crate) no_relevant: NoRelevant,
    /// Whether any relevance above 0 is 1.
    pub(crate) binary: bool,
    /// Whether scores that are the same in 32 bits are equal, as in trec_eval 9 and pytrec_eval, which keep no more of them.
    pub(crate) single: bool,
}

impl Rules {
    pub(crate) fn new(args: &MetricArgs) -> Self {
        let ties = if args.compat == Some(Compat::St) { Ties::SmallerId } else { Ties::GreaterId };
        let no_relevant = if args.compat == Some(Compat::Trec) { NoRelevant::Zero } else { NoRelevant::Skip };
        Self {
            ties: args.ties.map_or(ties, Ties::from),
            exclude_self: args.exclude_self || args.compat == Some(Compat::Beir),
            missing: args.missing,
            no_relevant: args.no_relevant.unwrap_or(no_relevant),
            binary: args.compat == Some(Compat::St),
            single: args.compat == Some(Compat::Trec),
        }
    }

    /// The order in which two documents are ranked.
    pub(crate) fn order(&self, a: &RunEntry, b: &RunEntry) -> Ordering {
        let score = |entry: &RunEntry| if self.single { f64::from(entry.score as f32) } else { entry.score };
        self.ties.order((score(a), &a.document), (score(b), &b.document))
    }
}
