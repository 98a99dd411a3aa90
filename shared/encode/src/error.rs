//! Why a model cannot be loaded or texts cannot be encoded.

use embtune_cli::Device;
use embtune_model::ModelError;
use embtune_onnx::Precision;
use embtune_ort_engine::EngineError;
use embtune_tokenize::TokenizeError;

/// Why a model cannot be loaded or texts cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The model directory cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer cannot be loaded, or refuses a text.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// ONNX Runtime is missing or fails.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The requested length exceeds the model's positions.
    #[error("max_seq_length {requested} is more than the model's {limit} positions")]
    TooLong {
        /// The requested number of tokens.
        requested: usize,
        /// The most tokens that the model takes.
        limit: usize,
    },
    /// The prompt leaves no room for the text.
    #[error(
        "the prompt fills the {max_seq_length} tokens at which texts are cut: all vectors would be the same\n\
         hint: shorten it, or raise --max-seq-length"
    )]
    LongPrompt {
        /// The length at which texts are cut, in tokens.
        max_seq_length: usize,
    },
    /// No file of the directory limits the length of a text.
    #[error(
        "{directory}: no file says how many tokens the model takes: neither sentence_bert_config.json, \
         tokenizer_config.json nor config.json\nhint: --max-seq-length NUM"
    )]
    NoMaxLength {
        /// The model directory.
        directory: String,
    },
    /// The ONNX file is not a sentence encoder, or not the one that its directory describes.
    #[error("{file}: {what}")]
    Onnx {
        /// The file.
        file: String,
        /// The expected and the found value, as text.
        what: String,
    },
    /// The device has no kernels for the precision.
    #[error("precision {precision} does not run on {device}\nhint: --precision {instead}")]
    Precision {
        /// The requested precision.
        precision: Precision,
        /// The device.
        device: Device,
        /// The precisions that do run on the device.
        instead: &'static str,
    },
    /// 8-bit integers are not accurate enough for this architecture.
    #[error(
        "int8 is not supported for {architecture}: its vectors would be too far from fp32's\nhint: --precision fp32"
    )]
    Int8 {
        /// The architecture's usual name.
        architecture: &'static str,
    },
    /// A vector holds NaN or infinity.
    #[error("the vector of text {0} (counted from 0) holds NaN or infinity")]
    NotFinite(usize),
}

impl EncodeError {
    /// Whether ONNX Runtime is missing or does not load, so that the error says nothing about the model.
    pub fn is_library_missing(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Missing(_) | EngineError::Load { .. }))
    }
}
