//! What is known of an earlier run, and kept for the next.

pub(crate) mod answer;
pub(crate) mod cache;
pub(crate) mod known;
pub(crate) mod part;
pub(crate) mod recipe;
