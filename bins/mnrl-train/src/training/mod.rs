//! The training itself: gradients of batches, updates of the weights, and the loop over both.

pub(crate) mod activations;
pub(crate) mod config;
pub(crate) mod final_weights;
pub(crate) mod grad_cache;
pub(crate) mod learner;
pub(crate) mod memory;
mod resume;
pub(crate) mod schedule;
pub(crate) mod trainer;

pub(crate) use resume::{resume, save};
