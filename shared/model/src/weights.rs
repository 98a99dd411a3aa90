//! The encoder's weights by name.

use std::collections::HashSet;
use std::path::Path;

use embtune_encoders::{Encoder, Parameter};
use embtune_tensors::{Tensor, TensorFile};

use crate::ModelError;
use crate::dense::DenseWeights;
use crate::parameters::{check, open_tensors};

/// Prefixes that some checkpoints add to every name.
const PREFIXES: [&str; 7] = ["", "bert.", "roberta.", "mpnet.", "distilbert.", "model.", "0.auto_model."];

/// Beginnings (after any prefix) of the names of tensors that do not affect hidden states: poolers, and the heads of
/// language models, classifiers and question answering.
#[rustfmt::skip]
const OTHER_HEADS: [&str; 12] = [
    "classifier.", "cls.", "decoder.", "head.", "lm_head.", "pooler.", "pre_classifier.", "qa_outputs.", "score.",
    "vocab_layer_norm.", "vocab_projector.", "vocab_transform.",
];

/// Ends of the names of tables that a forward pass computes, but older versions of transformers stored.
const BUFFERS: [&str; 3] = ["position_ids", "token_type_ids", "inv_freq"];

/// The mapped weights of a model. Every tensor of the model is there and has the right shape.
pub struct Weights {
    file: TensorFile,
    prefix: &'static str,
    /// Whether the checkpoint calls a layer norm's weight and bias gamma and beta, as old ones do.
    has_gamma_beta: bool,
    dense: DenseWeights,
}

impl Weights {
    /// Maps the encoder's file, and checks the names and shapes of its tensors.
    pub(crate) fn open(path: &Path, encoder: &Encoder, dense: DenseWeights) -> Result<Self, ModelError> {
        let file = open_tensors(path)?;
        let parameters = encoder.parameters();
        let (prefix, has_gamma_beta) = naming(&file, &parameters)?;
        let weights = Self { file, prefix, has_gamma_beta, dense };
        let mut known = HashSet::new();
        for parameter in &parameters {
            let stored = weights.stored_name(&parameter.name);
            check(parameter, &weights.file, &stored)?;
            known.insert(stored);
        }
        weights.refuse_unknown(&known, encoder.config().name)?;
        Ok(weights)
    }

    /// Refuses tensors that the architecture does not have, such as biases, further layers, a projection, or an adapter
    /// that was not merged: a forward pass that leaves them out would be that of another model.
    fn refuse_unknown(&self, known: &HashSet<String>, architecture: &str) -> Result<(), ModelError> {
        let is_unknown = |name: &&String| !known.contains(*name) && !self.is_unused(name);
        let names = self.file.names();
        let unknown: Vec<&String> = names.iter().filter(is_unknown).collect();
        let Some(first) = unknown.first() else { return Ok(()) };
        let others = match unknown.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        let what = format!("unexpected tensor \"{first}\" for {architecture}{others}");
        Err(ModelError::content(Path::new(self.file.name()), what))
    }

    fn is_unused(&self, name: &str) -> bool {
        let stem = name.strip_prefix(self.prefix).unwrap_or(name);
        let is_other_head = |name: &str| OTHER_HEADS.iter().any(|head| name.starts_with(head));
        is_other_head(stem) || is_other_head(name) || BUFFERS.iter().any(|end| name.ends_with(end))
    }

    /// A tensor of [`ModelDir::parameters`](crate::ModelDir::parameters).
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        match self.dense.get(name)? {
            Some(tensor) => Ok(tensor),
            None => Ok(self.file.require(&self.stored_name(name))?),
        }
    }

    /// Where a tensor's bytes begin in the encoder's file, see
    /// [`ModelDir::weights_file`](crate::ModelDir::weights_file); `None` for a tensor that is not in that file.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.file.offset(&self.stored_name(name))
    }

    /// The mapped file of the encoder.
    pub fn file(&self) -> &TensorFile {
        &self.file
    }

    /// The name of a tensor in the encoder's file.
    pub(crate) fn stored_name(&self, name: &str) -> String {
        let name = match name.strip_suffix("LayerNorm.weight") {
            Some(stem) if self.has_gamma_beta => format!("{stem}LayerNorm.gamma"),
            _ => match name.strip_suffix("LayerNorm.bias") {
                Some(stem) if self.has_gamma_beta => format!("{stem}LayerNorm.beta"),
                _ => name.to_owned(),
            },
        };
        format!("{}{name}", self.prefix)
    }
}

/// The prefix of a checkpoint's names, and whether its layer norms have a gamma and a beta. The first of the parameters is
/// the table of word embeddings, which every encoder has.
fn naming(file: &TensorFile, parameters: &[Parameter]) -> Result<(&'static str, bool), ModelError> {
    let word = parameters.first().map_or("", |parameter| &parameter.name);
    let prefix = PREFIXES
        .into_iter()
        .find(|prefix| file.get(&format!("{prefix}{word}")).is_some())
        .ok_or_else(|| ModelError::content(Path::new(file.name()), format!("no tensor \"{word}\"")))?;
    let norms = parameters.iter().filter_map(|parameter| parameter.name.strip_suffix("LayerNorm.weight"));
    let has_gamma_beta = norms.into_iter().any(|stem| file.get(&format!("{prefix}{stem}LayerNorm.gamma")).is_some());
    Ok((prefix, has_gamma_beta))
}
