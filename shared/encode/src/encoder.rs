//! A loaded model.

use std::path::Path;
use std::sync::Arc;

use embtune_cli::Device;
use embtune_model::{AnyModelDir, ModelError};
use embtune_onnx::Precision;
use embtune_ort_engine::{EngineError, Kernels};
use embtune_tokenize::TokenizeError;

use crate::front::Front;
use crate::runner::Runner;

/// Why texts cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The model directory.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The tokenizer.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// ONNX Runtime.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// More tokens than the model has positions.
    #[error("max_seq_length {asked} is more than the model's {most} positions")]
    TooLong {
        /// What was asked for.
        asked: usize,
        /// What the model can.
        most: usize,
    },
    /// A prompt after which nothing of a text is left.
    #[error(
        "the prompt fills the {max_seq_length} tokens at which texts are cut: all vectors would be the same\n\
         hint: shorten it, or raise --max-seq-length"
    )]
    LongPrompt {
        /// Where texts are cut.
        max_seq_length: usize,
    },
    /// No length at which texts are cut.
    #[error(
        "{directory}: nothing says how many tokens the model takes: neither sentence_bert_config.json, \
         tokenizer_config.json nor config.json\nhint: --max-seq-length NUM"
    )]
    Endless {
        /// The model directory.
        directory: String,
    },
    /// An ONNX file that is no sentence encoder, or not the one that its directory describes.
    #[error("{file}: {what}")]
    Onnx {
        /// The file.
        file: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The device has no kernels for the precision.
    #[error("precision {precision} does not run on {device}\nhint: --precision {instead}")]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// Where.
        device: Device,
        /// What does run there.
        instead: &'static str,
    },
    /// Integers lose too much of what this architecture computes.
    #[error(
        "int8 is not supported for {architecture}: its vectors would be too far from fp32's\nhint: --precision fp32"
    )]
    Int8 {
        /// What people call it.
        architecture: &'static str,
    },
    /// A vector came out as NaN or infinity.
    #[error("the vector of text {0} (counted from 0) holds NaN or infinity")]
    NotFinite(usize),
}

impl EncodeError {
    /// Whether it is ONNX Runtime that is missing or cannot be loaded: nothing is said about the model.
    pub fn is_library_missing(&self) -> bool {
        matches!(self, Self::Engine(EngineError::Missing(_) | EngineError::Load { .. }))
    }
}

/// How a model is to be run.
#[derive(Debug, Clone)]
pub struct EncoderOptions<'a> {
    /// Put before every text.
    pub prompt: &'a str,
    /// Tokens at which a text is cut; the model's own number when absent.
    pub max_seq_length: Option<usize>,
    /// Whether vectors are divided by their length; [`AnyModelDir::normalizes`] is the model's own word.
    pub normalize: bool,
    /// What the encoder computes in.
    pub precision: Precision,
    /// Tokens in a batch, padding included; when absent, what suits the device.
    pub batch_tokens: Option<usize>,
    /// Where to run.
    pub device: Device,
    /// CPU threads.
    pub threads: usize,
    /// Whether to write down which kernels run at first.
    pub profile: bool,
    /// ONNX Runtime's library, when it is not in its usual places.
    pub ort_library: Option<&'a Path>,
}

/// Vectors of texts, in the texts' order.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// `[texts, dim]`.
    pub vectors: Vec<f32>,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Number of tokens that were computed, without padding.
    pub tokens: u64,
    /// Number of texts without a token, of a tokenizer that adds none, whose vectors are zeros.
    pub empty: u64,
}

/// A model that turns texts into vectors: a [`Front`] and a [`Runner`], which may also work side by side.
pub struct Encoder {
    front: Arc<Front>,
    runner: Runner,
}

impl Encoder {
    /// Loads a model's tokenizer and weights.
    ///
    /// # Errors
    /// A damaged model, no ONNX Runtime, a device that cannot run.
    pub fn load(model: &AnyModelDir, options: &EncoderOptions<'_>) -> Result<Self, EncodeError> {
        Ok(Self { front: Arc::new(Front::load(model, options)?), runner: Runner::load(model, options)? })
    }

    /// Texts to rows of tokens.
    pub fn front(&self) -> &Arc<Front> {
        &self.front
    }

    /// Rows of tokens to vectors.
    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// Elements of a vector.
    pub fn dim(&self) -> usize {
        self.runner.dim()
    }

    /// Tokens at which a text is cut.
    pub fn max_seq_length(&self) -> usize {
        self.front.max_seq_length()
    }

    /// What the encoder computes in.
    pub fn precision(&self) -> Precision {
        self.runner.precision()
    }

    /// The kernels that ran first, when [`EncoderOptions::profile`] said so.
    pub fn kernels(&self) -> &[Kernels] {
        self.runner.kernels()
    }

    /// The device that runs the model.
    pub fn device(&self) -> Device {
        self.runner.device()
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn fallback(&self) -> Option<&str> {
        self.runner.fallback()
    }

    /// What is to be said about a pooling that was guessed, see [`Runner::pooling_guess`].
    pub fn pooling_guess(&self) -> Option<&str> {
        self.runner.pooling_guess()
    }

    /// Turns texts into vectors.
    ///
    /// # Errors
    /// A text that the tokenizer cannot take, a device that fails, a vector that is not finite.
    pub fn encode(&mut self, texts: &[impl AsRef<str> + Sync]) -> Result<Encoded, EncodeError> {
        let rows = self.front.tokenize(texts)?;
        Ok(Encoded {
            vectors: self.runner.run(&rows)?,
            truncated: rows.iter().filter(|row| row.truncated).count() as u64,
            tokens: rows.iter().map(|row| row.ids.len() as u64).sum(),
            empty: rows.iter().filter(|row| row.ids.is_empty()).count() as u64,
        })
    }
}
