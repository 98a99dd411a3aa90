//! Training pairs from shards, and the batches that are drawn from them.

pub(crate) mod batch;
pub(crate) mod prompts;
pub(crate) mod sampler;
mod shard_file;
pub(crate) mod shards;
