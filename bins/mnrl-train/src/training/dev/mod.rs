//! Retrieval on a dev set while the training runs: which weights are the best, and when to stop.

mod args;
#[cfg(test)]
mod parity;
mod set;
mod texts;
mod tracker;

pub(crate) use args::DevArgs;
pub(crate) use set::{DevSet, Encoding};
#[cfg(test)]
pub(crate) use texts::Source;
pub(crate) use texts::Texts;
pub(crate) use tracker::{Evaluation, Tracker};
