//! A model directory as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::modules::Head;
use crate::raw_config::Refusal;
use crate::{Dense, EncoderConfig, ModelError, Parameter, Pooling, Weights, fingerprint, json};

/// Heads for other uses of the encoder (bge-m3's), which sentence-transformers does not read.
const OTHER_HEADS: [&str; 2] = ["colbert_linear.pt", "sparse_linear.pt"];

const WEIGHTS: &str = "model.safetensors";

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
        for file in ["tokenizer.json", WEIGHTS] {
            let path = root.join(file);
            std::fs::metadata(&path).map_err(|error| ModelError::io(&path, error))?;
        }
        Ok(Self {
            head: Head::read(root, config.hidden_size)?,
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
        self.dense().last().map_or(self.config.hidden_size, |dense| dense.out_features)
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
        self.root.join("tokenizer.json")
    }

    /// The encoder's weights.
    pub fn weights_file(&self) -> PathBuf {
        self.root.join(WEIGHTS)
    }

    pub(crate) fn dense_file(&self, dense: &Dense) -> PathBuf {
        self.root.join(&dense.path).join(WEIGHTS)
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
        files.extend(["sentence_bert_config.json", "tokenizer.json", WEIGHTS].map(PathBuf::from));
        files.extend(self.dense().iter().map(|dense| dense.path.join(WEIGHTS)));
        fingerprint::of_files(&self.root, &files)
    }

    /// Names the tokenizer's content; a shard made with another one does not fit the model.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        fingerprint::of_files(&self.root, &["tokenizer.json".into()])
    }
}
