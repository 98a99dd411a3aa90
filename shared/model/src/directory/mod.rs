//! A model directory.

mod open;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use embtune_encoders::{Encoder, EncoderConfig, Parameter};
use tempfile::TempPath;

use crate::adapter::Adapter;
use crate::dense::{Dense, DenseWeights};
use crate::modules::Head;
use crate::onnx_encoder::AnyEncoder;
use crate::pooling::Pooling;
use crate::sentence_config::{self, SentenceConfig};
use crate::tensor_files::WeightFiles;
use crate::tokenizer::{self, TokenizerSpec};
use crate::transformer_config::TransformerConfig;
use crate::weights::Weights;
use crate::{ModelError, files};

/// Heads for other uses of the encoder, which sentence-transformers does not read (bge-m3 has them).
const OTHER_HEADS: [&str; 2] = ["colbert_linear.pt", "sparse_linear.pt"];

/// The purpose of a text, which selects its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A search query.
    Query,
    /// A document that is searched.
    Document,
}

impl Role {
    /// The names of the role's prompt, in order of preference.
    fn prompt_names(self) -> &'static [&'static str] {
        match self {
            Self::Query => &["query"],
            Self::Document => &["document", "passage", "corpus"],
        }
    }
}

/// A model directory: how its model turns a text into a vector. `E` describes the encoder.
#[derive(Debug, Clone)]
pub struct ModelDir<E = Encoder> {
    encoder: E,
    description: Description,
}

/// Everything but the encoder.
#[derive(Debug, Clone)]
struct Description {
    root: PathBuf,
    folders: Folders,
    head: Head,
    has_modules: bool,
    sentence_config: SentenceConfig,
    transformer: TransformerConfig,
    tokenizer: TokenizerSpec,
    max_seq_length: usize,
    /// The encoder's weights.
    weights: WeightFiles,
    /// The weights of each Dense module.
    dense_weights: Vec<WeightFiles>,
    adapter: Option<Merging>,
}

/// Where the files of the Transformer module are. A path is relative to the root, or leads to an adapter's base.
#[derive(Debug, Clone)]
struct Folders {
    /// The module's own settings.
    settings: PathBuf,
    /// `config.json` and the weights.
    encoder: PathBuf,
    tokenizer: PathBuf,
}

/// An adapter, which is merged when the weights are read for the first time.
#[derive(Debug, Clone)]
struct Merging {
    adapter: Adapter,
    /// The changed weights, as long as one of the copies of the description lives.
    merged: Arc<Mutex<Option<TempPath>>>,
}

/// A directory whose encoder embtune computes itself, or runs as an ONNX file of the directory.
pub type AnyModelDir = ModelDir<AnyEncoder>;

impl ModelDir {
    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// What the encoder has in common with those of other families.
    pub fn config(&self) -> &EncoderConfig {
        self.encoder.config()
    }

    /// Refuses a directory that has modules or settings that training does not support.
    ///
    /// # Errors
    /// Such a module or setting.
    pub fn check_trainable(&self) -> Result<(), ModelError> {
        let refuse = |what| Err(ModelError::Unsupported { directory: self.root().display().to_string(), what });
        let dropout = self.description.head.dropout;
        if dropout > 0.0 {
            return refuse(format!("a model with a Dropout module ({dropout}) cannot be trained"));
        }
        if !self.includes_prompt() {
            let what = "a model whose pooling leaves out the prompt (include_prompt false) cannot be trained";
            return refuse(what.into());
        }
        if let Some(size) = self.truncate_dim() {
            return refuse(format!(
                "a model whose vectors are truncated (truncate_dim {size}) cannot be trained\nhint: remove truncate_dim from {}; --matryoshka trains truncated vectors",
                sentence_config::FILE
            ));
        }
        Ok(())
    }

    /// Number of elements of a text's vector.
    pub fn dimension(&self) -> usize {
        self.dense().last().map_or(self.config().hidden_size, |dense| dense.out_features)
    }

    /// Every tensor that a text's vector depends on: the encoder's, then those of [`ModelDir::dense`].
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.encoder.parameters();
        parameters.extend(self.dense().iter().flat_map(Dense::parameters));
        parameters
    }

    /// The paths of the encoder's weights: `model.safetensors`, its shards, or those of `pytorch_model.bin`.
    pub fn weight_files(&self) -> Vec<PathBuf> {
        self.description.weights.files.iter().map(|file| self.root().join(file)).collect()
    }

    /// Maps the weights and checks their names and shapes.
    ///
    /// # Errors
    /// The file is damaged; a tensor is missing, has another shape, or is unexpected.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        let weights = Weights::new(self.description.weights.open(self.root())?, &self.encoder, self.dense_weights()?)?;
        let Some(Merging { adapter, merged }) = &self.description.adapter else { return Ok(weights) };
        let mut merged = merged.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &*merged {
            Some(file) => file.to_path_buf(),
            None => merged.insert(adapter.merge(&weights, &self.encoder.parameters())?).to_path_buf(),
        };
        weights.changed(file)
    }
}

impl AnyModelDir {
    /// The encoder.
    pub fn encoder(&self) -> &AnyEncoder {
        &self.encoder
    }
}

impl<E> ModelDir<E> {
    /// The same directory with another description of the encoder.
    pub fn with_encoder<F>(&self, encoder: F) -> ModelDir<F> {
        ModelDir { encoder, description: self.description.clone() }
    }

    /// The path of the directory.
    pub fn root(&self) -> &Path {
        &self.description.root
    }

    /// The folder of the encoder's config.json and weights: the root, unless `modules.json` names another one, or the
    /// model is an adapter of another directory.
    pub fn encoder_folder(&self) -> PathBuf {
        self.root().join(&self.description.folders.encoder)
    }

    /// The folder of the tokenizer's files.
    pub(crate) fn tokenizer_folder(&self) -> PathBuf {
        self.root().join(&self.description.folders.tokenizer)
    }

    /// The folder of the adapter, if the model is one.
    pub fn adapter_folder(&self) -> Option<&Path> {
        self.description.adapter.as_ref().map(|merging| merging.adapter.folder.as_path())
    }

    /// How the vectors of a text's tokens become one vector.
    pub fn pooling(&self) -> Pooling {
        self.description.head.pooling
    }

    /// Whether the tokens of a prompt count in the pooling, as they do in most models.
    pub fn includes_prompt(&self) -> bool {
        self.description.head.include_prompt
    }

    /// A warning, if the directory has no `modules.json`, so that the pooling is a guess. Without that file,
    /// sentence-transformers treats the directory as one of transformers, and ignores its own other files.
    pub fn pooling_guess(&self) -> Option<String> {
        let reason = self.description.head.guess?;
        let mut files: Vec<PathBuf> = self.description.head.files.clone();
        files.extend(self.transformer().file.clone());
        files.extend(Some(PathBuf::from(sentence_config::FILE)).filter(|file| self.root().join(file).is_file()));
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let others = match files.as_slice() {
            [] => String::new(),
            files => format!("; embtune uses {}, which sentence-transformers ignores here", files.join(", ")),
        };
        Some(format!(
            "{}: no modules.json: the pooling is guessed to be {}, because {reason}; a wrong guess gives wrong vectors{others}\n\
             hint: save the model with sentence-transformers and the pooling that it was trained with",
            self.root().display(),
            self.pooling()
        ))
    }

    /// The linear layers between pooling and normalisation, in order.
    pub fn dense(&self) -> &[Dense] {
        &self.description.head.dense
    }

    /// Files of heads that use the encoder, but do not affect a text's vector. Training leaves them unchanged, so that
    /// they no longer fit the trained encoder. [`crate::save()`] copies them.
    pub fn other_heads(&self) -> Vec<&'static str> {
        OTHER_HEADS.into_iter().filter(|name| self.root().join(name).is_file()).collect()
    }

    /// Whether the directory has a `modules.json`.
    pub fn has_modules(&self) -> bool {
        self.description.has_modules
    }

    /// Number of elements of a hidden state, if the modules after the encoder name it.
    pub fn pooled_size(&self) -> Option<usize> {
        self.dense().first().map(|dense| dense.in_features).or(self.description.head.pooled_size)
    }

    /// Maps the weights of [`ModelDir::dense`] and checks their shapes.
    ///
    /// # Errors
    /// A file is damaged; a tensor is missing, has another shape, or is unexpected.
    pub fn dense_weights(&self) -> Result<DenseWeights, ModelError> {
        DenseWeights::open(self.dense(), &self.description.dense_weights, self.root())
    }

    /// Whether the model scales its vectors to length 1.
    pub fn normalizes(&self) -> bool {
        self.description.head.normalize
    }

    /// Length at which a text is cut, in tokens, special tokens included; [`usize::MAX`] if no file limits it.
    pub fn max_seq_length(&self) -> usize {
        self.description.max_seq_length
    }

    /// Number of elements that are kept of a vector, if the model truncates its vectors.
    pub fn truncate_dim(&self) -> Option<usize> {
        self.description.sentence_config.truncate_dim
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &TokenizerSpec {
        &self.description.tokenizer
    }

    pub(crate) fn transformer(&self) -> &TransformerConfig {
        &self.description.transformer
    }

    /// The text that the model wants before a text of a role; empty if it has no prompt for the role. Without a role,
    /// the prompt that [`default_prompt_name`](Self::default_prompt_name) names.
    ///
    /// The names are those of sentence-transformers' `encode_query` and `encode_document`: `document`, `passage` and
    /// `corpus` are synonyms.
    pub fn prompt(&self, role: Option<Role>) -> &str {
        let named = |name: &str| self.prompts().get(name);
        let prompt = match role {
            None => self.default_prompt_name().and_then(named),
            Some(role) => role.prompt_names().iter().find_map(|name| named(name)),
        };
        prompt.map_or("", String::as_str)
    }

    /// All prompts, by name.
    pub(crate) fn prompts(&self) -> &BTreeMap<String, String> {
        &self.description.sentence_config.prompts
    }

    /// The same model with other prompts for both roles. An empty prompt counts as one: it replaces even the model's
    /// default prompt.
    #[must_use]
    pub fn with_prompts(mut self, query: &str, document: &str) -> Self {
        let prompts = &mut self.description.sentence_config.prompts;
        for (role, prompt) in [(Role::Query, query), (Role::Document, document)] {
            let names = role.prompt_names();
            // sentence-transformers looks for the first name first. The others are synonyms, which must not keep
            // another text.
            let set = names.iter().enumerate().filter(|(at, name)| *at == 0 || prompts.contains_key(**name));
            let set: Vec<_> = set.map(|(_, name)| ((*name).to_owned(), prompt.to_owned())).collect();
            prompts.extend(set);
        }
        self
    }

    /// The name of the prompt for texts without a role.
    pub fn default_prompt_name(&self) -> Option<&str> {
        self.description.sentence_config.default_prompt_name.as_deref()
    }

    /// Whether the model has a prompt for a role, so that leaving out the role is probably a mistake.
    pub fn has_prompts(&self) -> bool {
        [Role::Query, Role::Document].into_iter().any(|role| !self.prompt(Some(role)).is_empty())
    }

    /// Size of the encoder's files in bytes.
    pub fn encoder_bytes(&self) -> u64 {
        let bytes = |file: &PathBuf| self.root().join(file).metadata().map_or(0, |file| file.len());
        self.description.weights.files.iter().map(bytes).sum()
    }

    /// A hash of the model's content: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let Description { folders, head, transformer, weights, dense_weights, adapter, .. } = &self.description;
        let mut paths: Vec<PathBuf> = vec![folders.encoder.join("config.json"), "modules.json".into()];
        paths.extend(head.files.iter().cloned());
        paths.extend(transformer.file.as_ref().map(|file| folders.settings.join(file)));
        paths.push(folders.tokenizer.join(tokenizer::FILE));
        paths.extend(std::iter::once(weights).chain(dense_weights).flat_map(|weights| weights.files.clone()));
        if let Some(Merging { adapter, .. }) = adapter {
            paths.extend(adapter.files()?);
        }
        files::fingerprint(self.root(), &paths, &self.tokenizer().overrides())
    }

    /// A hash of the tokenizer's content. A shard that was made with another tokenizer does not fit the model.
    ///
    /// # Errors
    /// The tokenizer's file cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        let tokenizer_file = [tokenizer::FILE.into()];
        files::fingerprint(&self.tokenizer_folder(), &tokenizer_file, &self.tokenizer().overrides())
    }
}
