//! Pairs as they come in: read ahead, without negatives that are none, and the rows of one pair as one.

pub(crate) mod ahead;
pub(crate) mod merge;
pub(crate) mod negatives;
