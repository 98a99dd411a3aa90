//! The encoder's tensors by name.

use std::path::Path;

use embtune_tensors::{Dtype, Tensor, TensorFile};

use crate::{EncoderConfig, ModelError};

/// What some checkpoints put before every name.
const PREFIXES: [&str; 5] = ["", "bert.", "roberta.", "model.", "0.auto_model."];

/// A mapped `model.safetensors` that holds every tensor of the encoder, with the right shape.
pub struct Weights {
    file: TensorFile,
    prefix: &'static str,
    /// Old checkpoints call a layer norm's weight and bias gamma and beta.
    old_layer_norms: bool,
}

impl Weights {
    pub(crate) fn open(path: &Path, config: &EncoderConfig) -> Result<Self, ModelError> {
        let file = TensorFile::open(path)?;
        let word = "embeddings.word_embeddings.weight";
        let prefix = PREFIXES
            .into_iter()
            .find(|prefix| file.get(&format!("{prefix}{word}")).is_some())
            .ok_or_else(|| ModelError::content(path, format!("no tensor \"{word}\"")))?;
        let old_layer_norms = file.get(&format!("{prefix}embeddings.LayerNorm.gamma")).is_some();
        let weights = Self { file, prefix, old_layer_norms };
        for parameter in config.parameters() {
            let tensor = weights.require(&parameter.name)?;
            if tensor.shape != parameter.shape {
                let (name, expected, found) = (parameter.name, parameter.shape, tensor.shape);
                return Err(ModelError::content(
                    path,
                    format!("tensor \"{name}\" must be {expected:?}, found {found:?}"),
                ));
            }
            if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
                let found = tensor.dtype;
                return Err(ModelError::content(
                    path,
                    format!("tensor \"{}\" is {found:?}, not a float", parameter.name),
                ));
            }
        }
        Ok(weights)
    }

    /// A tensor of [`EncoderConfig::parameters`].
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        Ok(self.file.require(&self.stored_name(name))?)
    }

    /// Where a tensor's bytes begin in `model.safetensors`.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.file.offset(&self.stored_name(name))
    }

    /// The whole file.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// What the file calls the tensor.
    pub fn stored_name(&self, name: &str) -> String {
        let name = match name.strip_suffix("LayerNorm.weight") {
            Some(stem) if self.old_layer_norms => format!("{stem}LayerNorm.gamma"),
            _ => match name.strip_suffix("LayerNorm.bias") {
                Some(stem) if self.old_layer_norms => format!("{stem}LayerNorm.beta"),
                _ => name.to_owned(),
            },
        };
        format!("{}{name}", self.prefix)
    }
}
