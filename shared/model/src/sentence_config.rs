//! The model's prompts and truncation: `config_sentence_transformers.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::{ModelError, files};

pub(crate) const FILE: &str = "config_sentence_transformers.json";

/// The kind of model that this crate reads. Older versions of the file do not name it.
const MODEL_TYPE: &str = "SentenceTransformer";

/// Prompts that every model has; they are empty unless the file sets them.
const IMPLICIT_PROMPTS: [&str; 2] = ["query", "document"];

/// The settings of the file that affect vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SentenceConfig {
    /// Texts that are put before a text, by name.
    pub(crate) prompts: BTreeMap<String, String>,
    /// Name of the prompt that is used if none is requested.
    pub(crate) default_prompt_name: Option<String>,
    /// Number of elements that are kept of a vector.
    pub(crate) truncate_dim: Option<usize>,
}

#[derive(Deserialize, Default)]
struct Raw {
    model_type: Option<String>,
    prompts: Option<BTreeMap<String, Option<String>>>,
    default_prompt_name: Option<String>,
    truncate_dim: Option<usize>,
}

impl SentenceConfig {
    /// Reads the file of a directory, if there is one. A prompt that is null is empty.
    ///
    /// Source: `BaseModel._parse_model_config` and `_validate_prompts` in `sentence_transformers/base/model.py`.
    pub(crate) fn read(root: &Path) -> Result<Self, ModelError> {
        let file = root.join(FILE);
        let raw: Raw = files::read_optional_json(&file)?.unwrap_or_default();
        if let Some(kind) = raw.model_type.filter(|kind| kind != MODEL_TYPE) {
            let what = format!("model_type \"{kind}\" of {FILE} is not supported (supported: {MODEL_TYPE})");
            return Err(ModelError::Unsupported { directory: root.display().to_string(), what });
        }
        let prompts = raw.prompts.unwrap_or_default();
        let prompts: BTreeMap<_, _> =
            prompts.into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect();
        let exists = |name: &str| prompts.contains_key(name) || IMPLICIT_PROMPTS.contains(&name);
        if let Some(name) = raw.default_prompt_name.as_deref().filter(|name| !exists(name)) {
            let known: Vec<&str> = prompts.keys().map(String::as_str).collect();
            let what = format!("default_prompt_name \"{name}\" is not one of its prompts ({})", known.join(", "));
            return Err(ModelError::content(&file, what));
        }
        if raw.truncate_dim == Some(0) {
            return Err(ModelError::content(&file, "truncate_dim is 0"));
        }
        Ok(Self { prompts, default_prompt_name: raw.default_prompt_name, truncate_dim: raw.truncate_dim })
    }
}
