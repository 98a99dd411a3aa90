//! The reader against known replies and against generated ones.

mod dresses;
mod replies;
