//! What a run counts.

use crate::kept::answer::{Answer, Origin};

/// Counts over all records.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    /// Texts that were cut.
    pub(crate) truncated: u64,
    /// Texts without a token, of tokenizers that add none: their vectors are zeros.
    pub(crate) empty: u64,
    /// Texts that were divided, and into how many chunks.
    pub(crate) chunked: u64,
    pub(crate) chunks: u64,
    /// Records that the model ran on, and their tokens.
    pub(crate) computed: u64,
    pub(crate) tokens: u64,
    /// Records that were taken from `--resume` and from `--cache`.
    pub(crate) resumed: u64,
    pub(crate) cached: u64,
    /// Records that were not written, because they are the same as an earlier one.
    pub(crate) repeated: u64,
}

impl Tally {
    /// Counts a record that is not refused.
    pub(crate) fn add(&mut self, answer: &Answer) {
        self.records += 1;
        self.truncated += u64::from(answer.truncated);
        self.empty += u64::from(answer.tokens == 0);
        if answer.chunks > 1 {
            self.chunked += 1;
            self.chunks += u64::from(answer.chunks);
        }
        match answer.origin {
            Origin::Model => {
                self.computed += 1;
                self.tokens += u64::from(answer.tokens);
            }
            Origin::Part => self.resumed += 1,
            Origin::Cache => self.cached += 1,
        }
    }
}
