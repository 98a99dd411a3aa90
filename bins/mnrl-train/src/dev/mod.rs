//! Retrieval on a dev set while the training runs: which weights are the best, and when to stop.

#![expect(dead_code, unused_imports, reason = "the trainer calls it next")]

mod args;
#[cfg(test)]
mod parity;
mod set;
mod texts;
mod tracker;

pub(crate) use args::DevArgs;
pub(crate) use set::{DevSet, Encode, Encoding, Score};
pub(crate) use tracker::{Evaluation, Tracker};
