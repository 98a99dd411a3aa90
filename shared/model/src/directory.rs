//! A model directory as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::encoder::Refusal;
use crate::modules::Head;
use crate::{Dense, EncoderConfig, ModelError, Parameter, Pooling, Weights, fingerprint, json};

/// Heads for other uses of the encoder (bge-m3's), which sentence-transformers does not read.
const OTHER_HEADS: [&str; 2] = ["colbert_linear.pt", "sparse_linear.pt"];

const TOKENIZER: &str = "tokenizer.json";

/// Weights, the form that is preferred first.
pub(crate) const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Lists of several files that hold the weights together.
const SHARDED: [&str; 2] = ["model.safetensors.index.json", "pytorch_model.bin.index.json"];

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A search query.
    Query,
    /// A document that is searched.
    Document,
}

/// How a directory's model turns a text into a vector.
#[derive(Debug, Clone)]
pub struct ModelDir {
    root: PathBuf,
    config: EncoderConfig,
    head: Head,
    prompts: BTreeMap<String, String>,
    max_seq_length: usize,
    do_lower_case: bool,
    /// Relative to the root: the encoder's weights, then those of each Dense module.
    weights: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
struct RawTransformer {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
}

#[derive(Deserialize, Default)]
struct RawSentenceTransformers {
    #[serde(default)]
    prompts: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct RawTokenizer {
    /// Some writers put 1e30 for "no limit".
    model_max_length: Option<f64>,
}

impl ModelDir {
    /// Reads a directory's configuration; weights and tokenizer are only looked for.
    ///
    /// # Errors
    /// A file that is missing or damaged, a model that embtune does not know.
    pub fn open(root: &Path) -> Result<Self, ModelError> {
        if !root.is_dir() {
            return Err(ModelError::content(root, "no such model directory"));
        }
        let config_file = root.join("config.json");
        let config = EncoderConfig::from_json(json::read(&config_file)?).map_err(|refusal| match refusal {
            Refusal::Content(what) => ModelError::content(&config_file, what),
            Refusal::Unsupported(what) => ModelError::Unsupported { directory: root.display().to_string(), what },
        })?;
        let transformer: RawTransformer =
            json::read_optional(&root.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: RawTokenizer = json::read_optional(&root.join("tokenizer_config.json"))?.unwrap_or_default();
        let prompts: RawSentenceTransformers =
            json::read_optional(&root.join("config_sentence_transformers.json"))?.unwrap_or_default();
        let limit = transformer.max_seq_length.or(tokenizer.model_max_length.map(|length| length as usize));
        let tokenizer_file = root.join(TOKENIZER);
        std::fs::metadata(&tokenizer_file).map_err(|error| ModelError::io(&tokenizer_file, error))?;
        let head = Head::read(root, config.hidden_size())?;
        let mut weights = vec![find_weights(root, Path::new(""))?];
        for dense in &head.dense {
            weights.push(find_weights(root, &dense.path)?);
        }
        Ok(Self {
            head,
            weights,
            max_seq_length: limit.unwrap_or(usize::MAX).clamp(1, config.max_length()),
            do_lower_case: transformer.do_lower_case,
            prompts: prompts.prompts,
            root: root.to_owned(),
            config,
        })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// How token vectors become one vector.
    pub fn pooling(&self) -> Pooling {
        self.head.pooling
    }

    /// Linear layers between pooling and normalisation, in their order.
    pub fn dense(&self) -> &[Dense] {
        &self.head.dense
    }

    /// Elements of a text's vector.
    pub fn dimension(&self) -> usize {
        self.dense().last().map_or(self.config.hidden_size(), |dense| dense.out_features)
    }

    /// Every tensor that makes a text's vector: the encoder's, then those of [`ModelDir::dense`].
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = self.config.parameters();
        parameters.extend(self.dense().iter().flat_map(Dense::parameters));
        parameters
    }

    /// Files of heads that belong to the encoder, but make no part of a text's vector: a training leaves them as they
    /// are, and after it they no longer fit the encoder. [`crate::save`] copies them.
    pub fn other_heads(&self) -> Vec<&'static str> {
        OTHER_HEADS.into_iter().filter(|name| self.root.join(name).is_file()).collect()
    }

    /// Whether the model itself makes its vectors' length 1.
    pub fn normalizes(&self) -> bool {
        self.head.normalize
    }

    /// Tokens at which a text is cut, special tokens included.
    pub fn max_seq_length(&self) -> usize {
        self.max_seq_length
    }

    /// Whether texts are lower-cased before the tokenizer sees them.
    pub fn lower_cases(&self) -> bool {
        self.do_lower_case
    }

    /// The tokenizer's file.
    pub fn tokenizer_file(&self) -> PathBuf {
        self.root.join(TOKENIZER)
    }

    /// The encoder's weights: `model.safetensors`, or where there is none `pytorch_model.bin`.
    pub fn weights_file(&self) -> PathBuf {
        self.weights.first().map_or_else(PathBuf::new, |file| self.root.join(file))
    }

    /// Every file of weights: the encoder's, then one for each of [`ModelDir::dense`].
    pub(crate) fn weights_files(&self) -> impl Iterator<Item = PathBuf> {
        self.weights.iter().map(|file| self.root.join(file))
    }

    /// What the model wants before a text; empty for no role, or where it has no prompt for it.
    ///
    /// Names follow sentence-transformers' `encode_query` and `encode_document`: `document`, `passage` and `corpus`
    /// mean the same.
    pub fn prompt(&self, role: Option<Role>) -> &str {
        let names: &[&str] = match role {
            None => &[],
            Some(Role::Query) => &["query"],
            Some(Role::Document) => &["document", "passage", "corpus"],
        };
        names.iter().find_map(|name| self.prompts.get(*name)).map_or("", String::as_str)
    }

    /// Whether the model has a prompt for any role, so that a text without a role is probably a mistake.
    pub fn has_prompts(&self) -> bool {
        [Role::Query, Role::Document].into_iter().any(|role| !self.prompt(Some(role)).is_empty())
    }

    /// Maps the weights and checks their shapes.
    ///
    /// # Errors
    /// A damaged file, a tensor that is missing or has another shape.
    pub fn weights(&self) -> Result<Weights, ModelError> {
        Weights::open(self)
    }

    /// Names the model's content: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        let mut files: Vec<PathBuf> = ["config.json", "modules.json"].map(PathBuf::from).into();
        files.extend(self.head.files.iter().cloned());
        files.extend(["sentence_bert_config.json", TOKENIZER].map(PathBuf::from));
        files.extend(self.weights.iter().cloned());
        fingerprint::of_files(&self.root, &files)
    }

    /// Names the tokenizer's content; a shard made with another one does not fit the model.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        fingerprint::of_files(&self.root, &[TOKENIZER.into()])
    }
}

/// The weights in a folder of the directory, relative to its root.
fn find_weights(root: &Path, folder: &Path) -> Result<PathBuf, ModelError> {
    let there = |name: &&&str| root.join(folder).join(name).exists();
    if let Some(name) = WEIGHTS.iter().find(there) {
        return Ok(folder.join(name));
    }
    if let Some(name) = SHARDED.iter().find(there) {
        return Err(ModelError::content(
            &root.join(folder).join(name),
            "weights in several files are not supported\nhint: load the model with sentence-transformers and save it again",
        ));
    }
    let [safetensors, checkpoint] = WEIGHTS;
    let what = format!("No such file, and no {checkpoint} beside it");
    Err(ModelError::content(&root.join(folder).join(safetensors), what))
}
