//! The model's tensors by name.

use std::collections::HashSet;
use std::path::Path;

use embtune_tensors::{Dtype, Tensor, TensorFile};

use crate::{DenseWeights, EncoderConfig, ModelDir, ModelError, Parameter};

/// What some checkpoints put before every name.
const PREFIXES: [&str; 7] = ["", "bert.", "roberta.", "mpnet.", "distilbert.", "model.", "0.auto_model."];

/// Stems, after any prefix, of tensors that make no part of a hidden state: poolers, the heads of masked and causal
/// language models, of classifiers and of question answering.
const OTHER_HEADS: [&str; 12] = [
    "classifier.",
    "cls.",
    "decoder.",
    "head.",
    "lm_head.",
    "pooler.",
    "pre_classifier.",
    "qa_outputs.",
    "score.",
    "vocab_layer_norm.",
    "vocab_projector.",
    "vocab_transform.",
];

/// Ends of the names of tables that a forward pass computes, and that older versions stored.
const BUFFERS: [&str; 3] = ["position_ids", "token_type_ids", "inv_freq"];

/// Mapped weights that hold every tensor of the model, with the right shape.
pub struct Weights {
    file: TensorFile,
    prefix: &'static str,
    /// Old checkpoints call a layer norm's weight and bias gamma and beta.
    old_layer_norms: bool,
    dense: DenseWeights,
}

impl Weights {
    pub(crate) fn open(model: &ModelDir) -> Result<Self, ModelError> {
        let file = open(&model.weights_file())?;
        let (prefix, old_layer_norms) = naming(&file, model.config())?;
        let weights = Self { file, prefix, old_layer_norms, dense: model.dense_weights()? };
        let mut known = HashSet::new();
        for parameter in model.config().parameters() {
            let stored = weights.stored_name(&parameter.name);
            check(&weights.file, &stored, &parameter)?;
            known.insert(stored);
        }
        weights.refuse_unknown(&known, model.config().name())?;
        Ok(weights)
    }

    /// Refuses tensors that the architecture does not have, such as biases, more layers, an adapter that was not merged
    /// or a projection: a forward pass without them would be another model's.
    fn refuse_unknown(&self, known: &HashSet<String>, architecture: &str) -> Result<(), ModelError> {
        let is_unknown = |name: &&String| !known.contains(*name) && !self.is_without_effect(name);
        let names = self.file.names();
        let unknown: Vec<&String> = names.iter().filter(is_unknown).collect();
        let Some(first) = unknown.first() else { return Ok(()) };
        let others = match unknown.len() - 1 {
            0 => String::new(),
            others => format!(" (nor {others} others)"),
        };
        let what = format!("tensor \"{first}\" is not known for {architecture}{others}");
        Err(ModelError::content(Path::new(self.file.name()), what))
    }

    fn is_without_effect(&self, name: &str) -> bool {
        let stem = name.strip_prefix(self.prefix).unwrap_or(name);
        let is_other_head = |name: &str| OTHER_HEADS.iter().any(|head| name.starts_with(head));
        is_other_head(stem) || is_other_head(name) || BUFFERS.iter().any(|end| name.ends_with(end))
    }

    /// A tensor of [`ModelDir::parameters`].
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        match self.dense.get(name)? {
            Some(tensor) => Ok(tensor),
            None => Ok(self.file.require(&self.stored_name(name))?),
        }
    }

    /// Where a tensor's bytes begin in [`ModelDir::weights_file`]; nothing for a tensor that stands elsewhere.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.file.offset(&self.stored_name(name))
    }

    /// The encoder's file.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// What the encoder's file calls a tensor.
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

/// Refuses a tensor of another shape, or of no floats; `stored` is its name in the file.
pub(crate) fn check(file: &TensorFile, stored: &str, parameter: &Parameter) -> Result<(), ModelError> {
    let tensor = file.require(stored)?;
    let refuse = |what| Err(ModelError::content(Path::new(file.name()), what));
    if tensor.shape != parameter.shape {
        return refuse(format!("tensor \"{stored}\" must be {:?}, found {:?}", parameter.shape, tensor.shape));
    }
    if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        return refuse(format!("tensor \"{stored}\" is {:?}, and weights are F32, F16 or BF16", tensor.dtype));
    }
    Ok(())
}

/// Opens a file in the form that its name says.
pub(crate) fn open(path: &Path) -> Result<TensorFile, ModelError> {
    let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    Ok(if is_safetensors { TensorFile::open(path)? } else { TensorFile::open_checkpoint(path)? })
}

/// The prefix of a checkpoint's names, and whether it has the old names of layer norms.
fn naming(file: &TensorFile, config: &EncoderConfig) -> Result<(&'static str, bool), ModelError> {
    let word = format!("{}.weight", config.word_embeddings());
    let prefix = PREFIXES
        .into_iter()
        .find(|prefix| file.get(&format!("{prefix}{word}")).is_some())
        .ok_or_else(|| ModelError::content(Path::new(file.name()), format!("no tensor \"{word}\"")))?;
    let old = |norm: &str| file.get(&format!("{prefix}{norm}.gamma")).is_some();
    let old_layer_norms = match config {
        EncoderConfig::Bert(config) => old(config.architecture.embedding_names().norm),
        _ => false,
    };
    Ok((prefix, old_layer_norms))
}
