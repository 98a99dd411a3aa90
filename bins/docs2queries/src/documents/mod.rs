//! Documents, and the passages that queries are written for.

mod ahead;
mod census;
mod cut;
mod passage;
mod source;

pub(crate) use ahead::Ahead;
pub(crate) use census::{Census, Corpus};
pub(crate) use passage::{Part, Passage, passages};
pub(crate) use source::{Source, documents};

/// Documents on their way from the input.
pub(crate) type Documents = Box<dyn Iterator<Item = Result<Source, embtune_records::ReadError>> + Send>;
