//! The encoder's weights by name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use embtune_encoders::{Encoder, Parameter};
use embtune_tensors::Tensor;

use crate::ModelError;
use crate::dense::DenseWeights;
use crate::parameters::check;
use crate::tensor_files::{Place, TensorFiles};

/// Prefixes that some checkpoints add to every name.
const PREFIXES: [&str; 8] = ["", "bert.", "roberta.", "mpnet.", "distilbert.", "model.", "new.", "0.auto_model."];

/// Beginnings (after any prefix) of the names of tensors that do not affect hidden states: poolers, and the heads of
/// language models, classifiers and question answering.
#[rustfmt::skip]
const OTHER_HEADS: [&str; 12] = [
    "classifier.", "cls.", "decoder.", "head.", "lm_head.", "pooler.", "pre_classifier.", "qa_outputs.", "score.",
    "vocab_layer_norm.", "vocab_projector.", "vocab_transform.",
];

/// A second name of T5's word embeddings, which some programs write, too.
const TIED: &str = "encoder.embed_tokens.weight";

/// Ends of the names of tables that a forward pass computes, but older versions of transformers stored.
const BUFFERS: [&str; 3] = ["position_ids", "token_type_ids", "inv_freq"];

/// The mapped weights of a model. Every tensor of the model is there and has the right shape.
pub struct Weights {
    tensors: TensorFiles,
    prefix: &'static str,
    /// Whether the checkpoint calls a layer norm's weight and bias gamma and beta, as old ones do.
    has_gamma_beta: bool,
    dense: DenseWeights,
}

impl Weights {
    /// Checks the names and shapes of the encoder's tensors.
    pub(crate) fn new(tensors: TensorFiles, encoder: &Encoder, dense: DenseWeights) -> Result<Self, ModelError> {
        let parameters = encoder.parameters();
        let (prefix, has_gamma_beta) = naming(&tensors, &parameters)?;
        let weights = Self { tensors, prefix, has_gamma_beta, dense };
        let mut known = HashSet::new();
        for parameter in &parameters {
            let stored = weights.stored_name(&parameter.name);
            check(parameter, &weights.tensors, &stored)?;
            known.insert(stored);
        }
        weights.refuse_unknown(&known, encoder.config().name)?;
        Ok(weights)
    }

    /// The same weights, except for those in a file, which have the same shapes.
    pub(crate) fn changed(mut self, file: PathBuf) -> Result<Self, ModelError> {
        self.tensors.add(file)?;
        Ok(self)
    }

    /// Refuses tensors that the architecture does not have, such as biases, further layers, a projection, or an adapter
    /// that was not merged: a forward pass that leaves them out would be that of another model.
    fn refuse_unknown(&self, known: &HashSet<String>, architecture: &str) -> Result<(), ModelError> {
        let is_unknown = |name: &&String| !known.contains(*name) && !self.is_unused(name);
        let names = self.tensors.names();
        let unknown: Vec<&String> = names.iter().filter(is_unknown).collect();
        let Some(first) = unknown.first() else { return Ok(()) };
        let others = match unknown.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more)"),
        };
        let what = format!("unexpected tensor \"{first}\" for {architecture}{others}");
        Err(ModelError::content(self.tensors.file_of(first), what))
    }

    fn is_unused(&self, name: &str) -> bool {
        let stem = name.strip_prefix(self.prefix).unwrap_or(name);
        let is_other_head = |name: &str| OTHER_HEADS.iter().any(|head| name.starts_with(head));
        is_other_head(stem) || is_other_head(name) || stem == TIED || BUFFERS.iter().any(|end| name.ends_with(end))
    }

    /// A tensor of [`ModelDir::parameters`](crate::ModelDir::parameters).
    ///
    /// # Errors
    /// There is no tensor of this name.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        match self.dense.get(name)? {
            Some(tensor) => Ok(tensor),
            None => self.tensors.require(&self.stored_name(name)),
        }
    }

    /// Where the bytes of a tensor of the encoder are; `None` for a tensor that is not one of the encoder's.
    pub fn place(&self, name: &str) -> Option<Place<'_>> {
        self.tensors.place(&self.stored_name(name))
    }

    /// The encoder's files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.tensors.paths()
    }

    /// The tensors of the encoder's files, also those that no vector depends on, by their names there.
    pub(crate) fn stored(&self) -> &TensorFiles {
        &self.tensors
    }

    /// The name of a tensor in the encoder's files.
    pub(crate) fn stored_name(&self, name: &str) -> String {
        let name = match name.strip_suffix("LayerNorm.weight") {
            Some(stem) if self.has_gamma_beta => format!("{stem}LayerNorm.gamma"),
            _ => match name.strip_suffix("LayerNorm.bias") {
                Some(stem) if self.has_gamma_beta => format!("{stem}LayerNorm.beta"),
                _ => name.to_owned(),
            },
        };
        let prefixed = format!("{}{name}", self.prefix);
        // What was added to an encoder, such as a projection, is outside of its prefix.
        if self.tensors.get(&prefixed).is_none() && self.tensors.get(&name).is_some() { name } else { prefixed }
    }
}

/// What `find` finds under a name, without one of the prefixes that some checkpoints add.
pub(crate) fn without_prefix<T>(name: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
    PREFIXES.into_iter().filter_map(|prefix| name.strip_prefix(prefix)).find_map(find)
}

/// The prefix of a checkpoint's names, and whether its layer norms have a gamma and a beta. The first of the parameters is
/// the table of word embeddings, which every encoder has.
fn naming(tensors: &TensorFiles, parameters: &[Parameter]) -> Result<(&'static str, bool), ModelError> {
    let word = parameters.first().map_or("", |parameter| &parameter.name);
    let prefix = PREFIXES
        .into_iter()
        .find(|prefix| tensors.get(&format!("{prefix}{word}")).is_some())
        .ok_or_else(|| ModelError::content(tensors.main(), format!("no tensor \"{word}\"")))?;
    let mut norms = parameters.iter().filter_map(|parameter| parameter.name.strip_suffix("LayerNorm.weight"));
    let has_gamma_beta = norms.any(|stem| tensors.get(&format!("{prefix}{stem}LayerNorm.gamma")).is_some());
    Ok((prefix, has_gamma_beta))
}
