//! The tokenizer: `tokenizer.json`, and the settings in other files that override it.
//!
//! transformers 5 does not use `tokenizer.json` as it is. For the classes that it implements, it takes the vocabulary
//! alone and builds everything else from `tokenizer_config.json`. That file decides, for instance, whether text is
//! converted to lower case.

mod added_tokens;
mod charsmap;
mod class;
mod config;
mod file;
mod post_processor;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::transformer_config::TransformerConfig;
use crate::{ModelError, files};
use class::TokenizerClass;
use config::TokenizerConfig;
pub(crate) use config::{CONFIG, SPECIAL_TOKEN_ROLES, SPECIAL_TOKENS_MAP, content};
use file::TokenizerFile;

pub(crate) const FILE: &str = "tokenizer.json";

/// A model's tokenizer, as its directory describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerSpec {
    file: PathBuf,
    /// Values that override those of the file, by key; those of the object "model" are overridden one by one.
    overrides: Map<String, Value>,
    truncates_left: bool,
    /// Length at which texts are cut, in tokens, if the files name one.
    pub(crate) max_length: Option<usize>,
}

impl TokenizerSpec {
    /// A `tokenizer.json` that nothing overrides.
    pub fn from_file(file: &Path) -> Self {
        Self { file: file.to_owned(), overrides: Map::new(), truncates_left: false, max_length: None }
    }

    /// Reads the tokenizer's files in the folder of an encoder that has this `config.json`.
    ///
    /// Source: `AutoTokenizer.from_pretrained`, `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend` of
    /// transformers 5, and `Transformer.__init__` of sentence-transformers 6.
    pub(crate) fn read(folder: &Path, config: &Value, transformer: &TransformerConfig) -> Result<Self, ModelError> {
        let file = folder.join(FILE);
        let content = files::read_bytes(&file)?;
        let parts: TokenizerFile = files::parse_json(&file, &content)?;
        charsmap::check(&parts.normalizer).map_err(|what| ModelError::content(&file, what))?;
        let tokenizer_config = TokenizerConfig::read(folder, &transformer.tokenizer_args)?;
        let class = TokenizerClass::new(tokenizer_config.class.as_deref(), config);
        let refuse = |what| ModelError::content(&folder.join(CONFIG), what);
        let mut overrides = Map::new();
        class.override_parts(&tokenizer_config, &parts, &mut overrides).map_err(refuse)?;
        added_tokens::override_list(class, &tokenizer_config, &parts, folder, &mut overrides)?;
        post_processor::override_template(class, &tokenizer_config, &parts, &content, &mut overrides)
            .map_err(refuse)?;
        if transformer.do_lower_case {
            prepend_lowercase(&parts, &mut overrides);
        }
        let direction = parts.truncation.and_then(|truncation| truncation.direction);
        let side = tokenizer_config.truncation_side.clone().or(direction.map(|side| side.to_lowercase()));
        let truncates_left = match side.as_deref() {
            None | Some("right") => false,
            Some("left") => true,
            Some(other) => return Err(refuse(format!("truncation_side \"{other}\" is neither right nor left"))),
        };
        Ok(Self { file, overrides, truncates_left, max_length: tokenizer_config.max_length })
    }

    /// The path of `tokenizer.json`.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a text that is too long loses its beginning rather than its end.
    pub fn truncates_left(&self) -> bool {
        self.truncates_left
    }

    /// The content of `tokenizer.json` with all overrides.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn content(&self) -> Result<Vec<u8>, ModelError> {
        if self.overrides.is_empty() {
            return files::read_bytes(&self.file);
        }
        let mut content: Map<String, Value> = files::parse_json(&self.file, &files::read_bytes(&self.file)?)?;
        for (key, value) in &self.overrides {
            match (content.get_mut(key), value) {
                (Some(Value::Object(old)), Value::Object(new)) if key == "model" => old.extend(new.clone()),
                _ => drop(content.insert(key.clone(), value.clone())),
            }
        }
        Ok(Value::Object(content).to_string().into_bytes())
    }

    /// The changes to token ids by the files beside `tokenizer.json`, as JSON; empty if there are none.
    pub(crate) fn overrides(&self) -> String {
        let mut changes = self.overrides.clone();
        if self.truncates_left {
            changes.insert("truncation_side".into(), "left".into());
        }
        if changes.is_empty() { String::new() } else { Value::Object(changes).to_string() }
    }
}

/// Makes conversion to lower case the first step of normalisation, unless it is one of the steps already.
fn prepend_lowercase(parts: &TokenizerFile, overrides: &mut Map<String, Value>) {
    const LOWERCASE: &str = "Lowercase";
    let is_lowercase = |normalizer: &Value| normalizer.get("type").is_some_and(|kind| kind == LOWERCASE);
    let normalizer = overrides.get("normalizer").unwrap_or(&parts.normalizer);
    let steps: Vec<Value> = match normalizer.get("normalizers").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None if normalizer.is_null() => Vec::new(),
        None => vec![normalizer.clone()],
    };
    if !steps.iter().any(is_lowercase) {
        let steps: Vec<Value> = std::iter::once(json!({"type": LOWERCASE})).chain(steps).collect();
        overrides.insert("normalizer".into(), json!({"type": "Sequence", "normalizers": steps}));
    }
}
