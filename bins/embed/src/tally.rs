//! What a run counts.

use crate::answer::{Answer, Origin};

/// Counts over all records.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    /// Texts that were cut.
    pub(crate) truncated: u64,
    /// Records that the model ran on, and their tokens.
    pub(crate) computed: u64,
    pub(crate) tokens: u64,
    /// Records that were taken from `--resume` and from `--cache`.
    pub(crate) resumed: u64,
    pub(crate) cached: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, answer: &Answer) {
        self.records += 1;
        self.truncated += u64::from(answer.truncated);
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
