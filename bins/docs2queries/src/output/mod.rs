//! What a run leaves behind: pairs, and what is said of them.

mod pairs;
mod sink;

pub(crate) use pairs::{Query, fold, one_line};
pub(crate) use sink::Sink;
