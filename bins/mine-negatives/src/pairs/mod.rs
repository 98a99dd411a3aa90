//! The pairs: as they are read, what they name, and as they are written.

pub(crate) mod known;
pub(crate) mod queries;
pub(crate) mod record;
pub(crate) mod source;
