//! Long runs of embed.

mod cache;
mod resume;
mod shards;
mod streaming;
mod texts;
