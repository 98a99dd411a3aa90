//! From rankings to metrics.

mod compat;
mod evaluation;
mod rules;
mod selection;

use std::num::NonZeroUsize;

use clap::Args;
use embtune_cli::parse_rank;
use embtune_metrics::Metric;

pub(crate) use compat::{Compat, MetricNames, compatible_metric, st_header, trec_name};
pub(crate) use evaluation::{Evaluation, QueryHits, RankedDocument};
pub(crate) use rules::{MissingPolicy, NoRelevantPolicy, Rules};
pub(crate) use selection::Selection;

use rules::TieRule;

/// How it is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics")]
pub(crate) struct MetricArgs {
    /// Cutoffs of the default metrics [default: 1,5,10]
    ///
    /// The default metrics are ndcg, recall, mrr, precision, map and accuracy.
    #[arg(short = 'k', value_name = "NUM,...", value_delimiter = ',', value_parser = parse_rank)]
    pub(crate) cutoffs: Vec<NonZeroUsize>,

    /// Metrics to report instead, such as ndcg@10,recall@100,bpref
    #[arg(long, value_name = "METRIC,...", value_delimiter = ',', conflicts_with = "cutoffs")]
    pub(crate) metrics: Vec<Metric>,

    /// The metric that decides; by default ndcg@10, or the first one if that is not reported
    #[arg(long, value_name = "METRIC", hide_short_help = true)]
    pub(crate) primary: Option<Metric>,

    /// Compute and name metrics as another program does
    #[arg(long, value_name = "PROGRAM", value_enum)]
    pub(crate) compat: Option<Compat>,

    /// Which of two documents with equal scores is ranked first [default: docid-desc]
    #[arg(long, value_name = "RULE", value_enum, hide_short_help = true)]
    pub(crate) ties: Option<TieRule>,

    /// Leave out documents that have the query's own id
    #[arg(long, hide_short_help = true)]
    pub(crate) exclude_self: bool,

    /// How to treat a judged query that a system did not answer
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = MissingPolicy::Zero, hide_short_help = true)]
    pub(crate) missing: MissingPolicy,

    /// How to treat a query without a relevant document [default: skip]
    #[arg(long, value_name = "POLICY", value_enum, hide_short_help = true)]
    pub(crate) no_relevant: Option<NoRelevantPolicy>,

    /// Seed of every random choice
    ///
    /// The randomisation test and the confidence interval draw samples.
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub(crate) seed: u64,
}
