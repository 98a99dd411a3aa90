//! From rankings to metrics.

mod compat;
mod evaluation;
mod rules;
mod selection;

pub(crate) use compat::{Compat, MetricNames, compatible_metric, trec_name};
pub(crate) use evaluation::{Evaluation, QueryHits, RankedDocument};
pub(crate) use rules::{MissingPolicy, NoRelevantPolicy, RuleSettings, Rules, TieRule};
pub(crate) use selection::{Selection, SelectionSettings};
