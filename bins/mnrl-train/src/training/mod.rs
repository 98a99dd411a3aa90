//! The way of a batch through the network and into the weights, and the course of all of them.

pub(crate) mod course;
pub(crate) mod dev;
pub(crate) mod grad_cache;
pub(crate) mod keys;
pub(crate) mod learner;
pub(crate) mod memory;
pub(crate) mod schedule;
pub(crate) mod settings;
pub(crate) mod tally;
pub(crate) mod trainer;
