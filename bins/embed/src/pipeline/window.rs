//! What goes from one stage to the next.

use embtune_records::Document;
use embtune_tokenize::Tokens;

/// Records with their tokens, `rows[i]` of `records[i]`.
pub(crate) struct Tokenised {
    pub(crate) records: Vec<Document>,
    pub(crate) rows: Vec<Tokens>,
}

/// Records with their vectors, in the order in which they were read.
pub(crate) struct Embedded {
    pub(crate) records: Vec<Document>,
    /// `[records, dim]`.
    pub(crate) vectors: Vec<f32>,
    /// Texts that were cut.
    pub(crate) truncated: u64,
    /// Tokens that were computed.
    pub(crate) tokens: u64,
}
