//! What is read: records, those of this shard, and the texts in them.

pub(crate) mod fields;
pub(crate) mod records;
pub(crate) mod shard;
