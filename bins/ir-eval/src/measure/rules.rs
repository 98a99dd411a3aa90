//! What a figure depends on besides its formula.

use embtune_metrics::Ties;

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
        }
    }
}
