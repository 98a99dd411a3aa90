//! Which of the documents that were found become negatives, and why the others do not.

pub(crate) mod choose;
pub(crate) mod limits;
pub(crate) mod look;
pub(crate) mod reason;
