//! A model directory as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::RawConfig;
use crate::modules::Head;
use crate::{EncoderConfig, ModelError, Pooling, Weights, fingerprint, json};

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
        let raw: RawConfig = json::read(&root.join("config.json"))?;
        let config = EncoderConfig::from_raw(raw)
            .map_err(|what| ModelError::Unsupported { directory: root.display().to_string(), what })?;
        let transformer: RawTransformer =
            json::read_optional(&root.join("sentence_bert_config.json"))?.unwrap_or_default();
        let tokenizer: RawTokenizer = json::read_optional(&root.join("tokenizer_config.json"))?.unwrap_or_default();
        let prompts: RawSentenceTransformers =
            json::read_optional(&root.join("config_sentence_transformers.json"))?.unwrap_or_default();
        let limit = transformer.max_seq_length.or(tokenizer.model_max_length.map(|length| length as usize));
        for file in ["tokenizer.json", "model.safetensors"] {
            let path = root.join(file);
            std::fs::metadata(&path).map_err(|error| ModelError::io(&path, error))?;
        }
        Ok(Self {
            head: Head::read(root)?,
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

    /// The weights' file.
    pub fn weights_file(&self) -> PathBuf {
        self.root.join("model.safetensors")
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
        Weights::open(&self.weights_file(), &self.config)
    }

    /// Names the model's content: configuration, tokenizer and weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, ModelError> {
        fingerprint::of_files(
            &self.root,
            &[
                "config.json",
                "modules.json",
                "1_Pooling/config.json",
                "sentence_bert_config.json",
                "tokenizer.json",
                "model.safetensors",
            ],
        )
    }

    /// Names the tokenizer's content; a shard made with another one does not fit the model.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn tokenizer_fingerprint(&self) -> Result<String, ModelError> {
        fingerprint::of_files(&self.root, &["tokenizer.json"])
    }
}
