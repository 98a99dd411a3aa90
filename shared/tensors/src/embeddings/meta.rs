//! The metadata of a file of vectors.

use serde::{Deserialize, Serialize};

/// Version of the layout; files of other versions are refused.
pub(crate) const VERSION: u32 = 1;

/// How the vectors were computed.
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
    /// The prompt before each text.
    pub prompt: String,
    /// Whether the vectors have length 1 (before quantisation).
    pub normalized: bool,
    /// The name of the [`VectorType`](crate::VectorType); set by the writer.
    #[serde(default)]
    pub dtype: String,
    /// The precision of the model.
    pub precision: String,
    /// Tokens at which a text was cut.
    pub max_seq_length: usize,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Number of texts that were embedded in several chunks.
    #[serde(default)]
    pub chunked: u64,
}
