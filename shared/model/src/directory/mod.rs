//! A model directory as a whole.

mod open;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::modules::Head;
use crate::settings::{self, Settings};
use crate::tokenizer::{self, TokenizerSpec};
use crate::transformer::TransformerConfig;
use crate::{
    AnyEncoder, BertConfig, Dense, DenseWeights, EncoderConfig, ModelError, Parameter, Pooling, Weights, fingerprint,
};
pub(crate) use open::WEIGHTS;

/// Heads for other uses of the encoder (bge-m3's), which sentence-transformers does not read.
const OTHER_HEADS: [&str; 2] = ["colbert_linear.pt", "sparse_linear.pt"];

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A search query.
    Query,
    /// A document that is searched.
    Document,
}

impl Role {
    /// Names of its prompt, the preferred one first.
    fn prompt_names(self) -> &'static [&'static str] {
        match self {
            Self::Query => &["query"],
            Self::Document => &["document", "passage", "corpus"],
        }
    }
}

/// How a directory's model turns a text into a vector; `E` is its encoder.
#[derive(Debug, Clone)]
pub struct ModelDir<E = EncoderConfig> {
    encoder: E,
    description: Description,
}

/// What a directory says beside its encoder's shape.
#[derive(Debug, Clone)]
struct Description {
    root: PathBuf,
    /// The encoder's folder, relative to the root.
    place: PathBuf,
    head: Head,
    has_modules: bool,
    settings: Settings,
    transformer: TransformerConfig,
    tokenizer: TokenizerSpec,
    max_seq_length: usize,
    /// Files of the encoder, relative to the root.
    weights: Vec<PathBuf>,
    /// The weights of each Dense module, relative to the root.
    dense_weights: Vec<PathBuf>,
}

/// A directory whose encoder embtune computes itself, or through an ONNX file of the directory.
pub type AnyModelDir = ModelDir<AnyEncoder>;

impl ModelDir {
    /// The encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.encoder
    }

    /// The encoder, of a model that embtune trains.
    ///
    /// # Errors
    /// Another architecture, modules that a training would have to change.
    pub fn trainable_config(&self) -> Result<&BertConfig, ModelError> {
        let refuse = |what| ModelError::Unsupported { directory: self.root().display().to_string(), what };
        let dropout = self.description.head.dropout;
        if dropout > 0.0 {
            return Err(refuse(format!("a model with a Dropout module ({dropout}) cannot be trained")));
        }
        if let Some(size) = self.truncate_dim() {
            let what = format!(
                "a model whose vectors are cut (truncate_dim {size}) cannot be trained\nhint: take truncate_dim out of {}; --matryoshka trains cut vectors",
                settings::FILE
            );
            return Err(refuse(what));
        }
        match &self.encoder {
            EncoderConfig::Bert(config) => Ok(config),
            other => Err(refuse(format!(
                "{} cannot be trained (trained: BERT, RoBERTa, XLM-RoBERTa, MPNet, DistilBERT)",
                other.name()
            ))),
        }
    }

    /// Elements of a text's vector.
    pub fn dimension(&self) -> usize {
        self.dense().last().map_or(self.encoder.hidden_size(), |dense| dense.out_features)
    }

    /// Every tensor that makes a text's vector: the encoder's, then those of [`ModelDir::dense`].
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.encoder.parameters();
        parameters.extend(self.dense().iter().flat_map(Dense::parameters));
        parameters
    }

    /// The encoder's weights: `model.safetensors`, or where there is none `pytorch_model.bin`.
    pub fn weights_file(&self) -> PathBuf {
        self.description.weights.first().map_or_else(PathBuf::new, |file| self.root().join(file))
    }

    /// Maps the weights and checks their names and shapes.
    ///
    /// # Errors
    /// A damaged file, a tensor that is missing, has another shape or is not known.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        Weights::open(self)
    }
}

impl AnyModelDir {
    /// The encoder.
    pub fn encoder(&self) -> &AnyEncoder {
        &self.encoder
    }
}

impl<E> ModelDir<E> {
    /// The same directory, seen as one of another encoder.
    pub fn with_encoder<F>(&self, encoder: F) -> ModelDir<F> {
        ModelDir { encoder, description: self.description.clone() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.description.root
    }

    /// The folder of the encoder's and the tokenizer's files: the directory, unless its modules say otherwise.
    pub fn encoder_folder(&self) -> PathBuf {
        self.root().join(&self.description.place)
    }

    /// How token vectors become one vector.
    pub fn pooling(&self) -> Pooling {
        self.description.head.pooling
    }

    /// What is to be said about a pooling that no `modules.json` names, with a remedy. Without that file,
    /// sentence-transformers takes the directory for one of transformers, and passes over its own other files.
    pub fn pooling_guess(&self) -> Option<String> {
        let reason = self.description.head.guess?;
        let mut files: Vec<PathBuf> = self.description.head.files.clone();
        files.extend(self.transformer().file.clone());
        files.extend(Some(PathBuf::from(settings::FILE)).filter(|file| self.root().join(file).is_file()));
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let others = match files.as_slice() {
            [] => String::new(),
            files => format!("; what {} say counts here, and not in sentence-transformers", files.join(" and ")),
        };
        Some(format!(
            "{}: no modules.json: texts are pooled by {}, a guess, because {reason}; another pooling gives other vectors{others}\n\
             hint: save the model with sentence-transformers and the pooling that it was trained with",
            self.root().display(),
            self.pooling()
        ))
    }

    /// Linear layers between pooling and normalisation, in their order.
    pub fn dense(&self) -> &[Dense] {
        &self.description.head.dense
    }

    /// Files of heads that belong to the encoder, but make no part of a text's vector: a training leaves them as they
    /// are, and after it they no longer fit the encoder. [`crate::save`] copies them.
    pub fn other_heads(&self) -> Vec<&'static str> {
        OTHER_HEADS.into_iter().filter(|name| self.root().join(name).is_file()).collect()
    }

    /// Whether `modules.json` says what follows the encoder.
    pub fn has_modules(&self) -> bool {
        self.description.has_modules
    }

    /// Elements of a hidden state, where the modules after the encoder say it.
    pub fn pooled_size(&self) -> Option<usize> {
        self.dense().first().map(|dense| dense.in_features).or(self.description.head.pooled_size)
    }

    /// Maps the weights of [`ModelDir::dense`] and checks their shapes.
    ///
    /// # Errors
    /// A damaged file, a tensor that is missing or has another shape.
    pub fn dense_weights(&self) -> Result<DenseWeights, ModelError> {
        DenseWeights::open(self.dense(), self.description.dense_weights.iter().map(|file| self.root().join(file)))
    }

    /// Whether the model itself makes its vectors' length 1.
    pub fn normalizes(&self) -> bool {
        self.description.head.normalize
    }

    /// Tokens at which a text is cut, special tokens included; [`usize::MAX`] where nothing says it.
    pub fn max_seq_length(&self) -> usize {
        self.description.max_seq_length
    }

    /// Elements that are kept of a vector, where the model says that not all are.
    pub fn truncate_dim(&self) -> Option<usize> {
        self.description.settings.truncate_dim
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &TokenizerSpec {
        &self.description.tokenizer
    }

    pub(crate) fn transformer(&self) -> &TransformerConfig {
        &self.description.transformer
    }

    /// What the model wants before a text: for a role, empty where it has no prompt for it; without one, the prompt
    /// that [`default_prompt_name`](Self::default_prompt_name) names.
    ///
    /// Names follow sentence-transformers' `encode_query` and `encode_document`: `document`, `passage` and `corpus`
    /// mean the same.
    pub fn prompt(&self, role: Option<Role>) -> &str {
        let named = |name: &str| self.prompts().get(name);
        let prompt = match role {
            None => self.default_prompt_name().and_then(named),
            Some(role) => role.prompt_names().iter().find_map(|name| named(name)),
        };
        prompt.map_or("", String::as_str)
    }

    /// All prompts by their names.
    pub(crate) fn prompts(&self) -> &BTreeMap<String, String> {
        &self.description.settings.prompts
    }

    /// The same model with these prompts for both roles, and its own for everything else. An empty one is a prompt, too:
    /// it says that none is to be used, not even the model's default.
    #[must_use]
    pub fn with_prompts(mut self, query: &str, document: &str) -> Self {
        let prompts = &mut self.description.settings.prompts;
        for (role, prompt) in [(Role::Query, query), (Role::Document, document)] {
            let names = role.prompt_names();
            // The first name is the one that sentence-transformers asks for first, and finds empty where it is missing;
            // all names of a role mean the same, so that none may keep another text.
            let written = names.iter().enumerate().filter(|(at, name)| *at == 0 || prompts.contains_key(**name));
            let written: Vec<_> = written.map(|(_, name)| ((*name).to_owned(), prompt.to_owned())).collect();
            prompts.extend(written);
        }
        self
    }

    /// The name of the prompt that is taken for a text without a role.
    pub fn default_prompt_name(&self) -> Option<&str> {
        self.description.settings.default_prompt.as_deref()
    }

    /// Whether the model has a prompt for any role, so that a text without a role is probably a mistake.
    pub fn has_prompts(&self) -> bool {
        [Role::Query, Role::Document].into_iter().any(|role| !self.prompt(Some(role)).is_empty())
    }

    /// Bytes of the encoder's files.
    pub fn encoder_bytes(&self) -> u64 {
        let bytes = |file: &PathBuf| self.root().join(file).metadata().map_or(0, |file| file.len());
        self.description.weights.iter().map(bytes).sum()
    }

    /// Names the model's content: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let Description { place, head, transformer, weights, dense_weights, .. } = &self.description;
        let mut files: Vec<PathBuf> = vec![place.join("config.json"), "modules.json".into()];
        files.extend(head.files.iter().cloned());
        files.extend(transformer.file.as_ref().map(|file| place.join(file)));
        files.push(place.join(tokenizer::FILE));
        files.extend(weights.iter().chain(dense_weights).cloned());
        fingerprint::of_files(self.root(), &files, &self.tokenizer().distinction())
    }

    /// Names the tokenizer's content; a shard made with another one does not fit the model.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        let file = [tokenizer::FILE.into()];
        fingerprint::of_files(&self.encoder_folder(), &file, &self.tokenizer().distinction())
    }
}
