//! What a file of vectors says about itself.

use serde::{Deserialize, Serialize};

/// Version of the layout; files of another one are refused.
pub(crate) const VERSION: u32 = 1;

/// How the vectors were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsMeta {
    /// Version of the layout; set by the writer.
    #[serde(default)]
    pub version: u32,
    /// Fingerprint of the model directory.
    pub model: String,
    /// How token vectors become one vector.
    pub pooling: String,
    /// `query`, `document` or nothing.
    pub role: Option<String>,
    /// The text that was put before each text.
    pub prompt: String,
    /// Whether the vectors have length 1 (before they were stored in a smaller type).
    pub normalized: bool,
    /// The name of the [`VectorType`](crate::VectorType); set by the writer.
    #[serde(default)]
    pub dtype: String,
    /// What the model computed in.
    pub precision: String,
    /// Tokens at which a text was cut.
    pub max_seq_length: usize,
    /// Texts that were cut.
    pub truncated: u64,
    /// Texts that were embedded in several chunks.
    #[serde(default)]
    pub chunked: u64,
}
