//! From rankings to numbers.

mod evaluation;
mod names;
mod rules;
mod selection;

pub(crate) use evaluation::{Evaluation, Hits, Placed};
pub(crate) use names::{Names, trec as trec_name};
pub(crate) use rules::Rules;
pub(crate) use selection::Selection;
