//! A loaded model.

use std::sync::Arc;

use embtune_cli::Device;
use embtune_model::AnyModelDir;
use embtune_onnx::Precision;
use embtune_ort_engine::Kernels;

use crate::error::EncodeError;
use crate::model_runner::ModelRunner;
use crate::options::EncoderOptions;
use crate::text_tokenizer::TextTokenizer;

/// The vectors of some texts, in the order of the texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Shape `[texts, dim]`.
    pub vectors: Vec<f32>,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Number of tokens that were computed, without padding.
    pub tokens: u64,
    /// Number of texts without any token, whose vectors are zeros. The tokenizer of such a model adds no special
    /// tokens.
    pub empty: u64,
}

/// A model that turns texts into vectors.
pub struct Encoder {
    text_tokenizer: Arc<TextTokenizer>,
    runner: ModelRunner,
}

impl Encoder {
    /// Loads a model's tokenizer and weights.
    ///
    /// # Errors
    /// The model is damaged, ONNX Runtime is missing, or the device cannot run.
    pub fn load(model: &AnyModelDir, options: &EncoderOptions<'_>) -> Result<Self, EncodeError> {
        let text_tokenizer = TextTokenizer::load(model, options)?;
        let runner = ModelRunner::load(model, options, text_tokenizer.skip())?;
        Ok(Self { text_tokenizer: Arc::new(text_tokenizer), runner })
    }

    /// The half that turns texts into tokens.
    pub fn text_tokenizer(&self) -> &Arc<TextTokenizer> {
        &self.text_tokenizer
    }

    /// The half that turns tokens into vectors.
    pub fn runner(&mut self) -> &mut ModelRunner {
        &mut self.runner
    }

    /// Number of elements of a vector.
    pub fn dim(&self) -> usize {
        self.runner.dim()
    }

    /// Length at which a text is cut, in tokens.
    pub fn max_seq_length(&self) -> usize {
        self.text_tokenizer.max_seq_length()
    }

    /// Number format of the encoder's computations.
    pub fn precision(&self) -> Precision {
        self.runner.precision
    }

    /// The kernels that ran for the first texts; empty unless [`EncoderOptions::profile`] was set.
    pub fn kernels(&self) -> &[Kernels] {
        &self.runner.kernels
    }

    /// The device that runs the model.
    pub fn device(&self) -> Device {
        self.runner.device
    }

    /// Why `auto` did not take CUDA, on a machine that seems to have a GPU.
    pub fn cuda_failure(&self) -> Option<&str> {
        self.runner.cuda_failure.as_deref()
    }

    /// A warning, if the pooling was guessed; see [`embtune_model::ModelDir::pooling_guess`].
    pub fn pooling_guess(&self) -> Option<&str> {
        self.runner.pooling_guess.as_deref()
    }

    /// Turns texts into vectors.
    ///
    /// # Errors
    /// The tokenizer refuses a text, the device fails, or a vector is not finite.
    pub fn encode(&mut self, texts: &[impl AsRef<str> + Sync]) -> Result<Encoded, EncodeError> {
        let rows = self.text_tokenizer.tokenize(texts)?;
        Ok(Encoded {
            vectors: self.runner.run(&rows)?,
            truncated: rows.iter().filter(|row| row.truncated).count() as u64,
            tokens: rows.iter().map(|row| row.ids.len() as u64).sum(),
            empty: rows.iter().filter(|row| row.ids.is_empty()).count() as u64,
        })
    }
}
