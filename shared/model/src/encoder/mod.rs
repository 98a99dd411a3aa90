//! Encoders: what their forward passes need to know, from `config.json`.

mod activation;
mod bert;
mod config;
mod config_json;
mod modern_bert;
mod nomic_bert;
mod onnx_file;
mod qwen3;
mod relative_position;

pub use activation::Activation;
pub use bert::{Architecture, BertConfig, EmbeddingNames, LayerNames};
pub use config::EncoderConfig;
pub(crate) use config_json::ConfigError;
pub use modern_bert::{ModernBertConfig, ModernBertLayerNames};
pub use nomic_bert::{NomicBertConfig, NomicBertLayerNames};
pub use onnx_file::OnnxEncoder;
pub use qwen3::{Qwen3Config, Qwen3LayerNames};
pub use relative_position::{MAX_RELATIVE_DISTANCE, RELATIVE_BUCKETS, relative_position_bucket};

/// The network that computes a directory's hidden states.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEncoder {
    /// A family that embtune computes itself, with weights that it can read.
    Native(EncoderConfig),
    /// An ONNX file of the directory.
    Onnx(OnnxEncoder),
}

impl AnyEncoder {
    /// Maximum number of tokens of a text; [`usize::MAX`] if `config.json` does not limit it.
    pub fn max_length(&self) -> usize {
        match self {
            Self::Native(config) => config.max_length(),
            Self::Onnx(file) => file.max_length,
        }
    }

    /// Rows of the word embeddings, if `config.json` names them.
    pub fn vocab_size(&self) -> Option<usize> {
        match self {
            Self::Native(config) => Some(config.vocab_size()),
            Self::Onnx(file) => file.vocab_size,
        }
    }
}
