//! Shards, and the batches that are drawn from them.

pub(crate) mod batch;
pub(crate) mod false_negatives;
pub(crate) mod prompts;
pub(crate) mod sampler;
pub(crate) mod shards;
