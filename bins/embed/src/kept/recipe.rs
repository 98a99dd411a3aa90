//! What vectors are made with.

use serde::{Deserialize, Serialize};

use crate::long::Long;

/// Raised when a change of the program gives other vectors for the same text: what older versions kept is not used.
const GENERATION: u32 = 1;

/// All that a record's vector depends on besides its text, before it is cut to a dimension or rounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    pub(crate) generation: u32,
    /// Fingerprint of the model directory.
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) max_seq_length: usize,
    pub(crate) on_long: Long,
    pub(crate) precision: String,
    pub(crate) normalized: bool,
    /// Elements of a vector.
    pub(crate) dim: usize,
}

impl Recipe {
    pub(crate) const GENERATION: u32 = GENERATION;

    /// The same thing as text, for hashes and headers.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}
