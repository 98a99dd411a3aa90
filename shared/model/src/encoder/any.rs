//! An encoder that embtune computes, or one that a file brings along.

use super::{EncoderConfig, OnnxEncoder};

/// What computes a directory's hidden states.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyEncoder {
    /// A family that embtune knows, with weights that it reads.
    Known(EncoderConfig),
    /// An ONNX file of the directory.
    Onnx(OnnxEncoder),
}

impl AnyEncoder {
    /// Most tokens that a text may have; [`usize::MAX`] where `config.json` does not say it.
    pub fn max_length(&self) -> usize {
        match self {
            Self::Known(config) => config.max_length(),
            Self::Onnx(file) => file.max_length,
        }
    }

    /// Rows of the word embeddings, where `config.json` says it.
    pub fn vocab_size(&self) -> Option<usize> {
        match self {
            Self::Known(config) => Some(config.vocab_size()),
            Self::Onnx(file) => file.vocab_size,
        }
    }
}
