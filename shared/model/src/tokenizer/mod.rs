//! The tokenizer: `tokenizer.json`, and what the files beside it change about it.
//!
//! transformers 5 does not take `tokenizer.json` as it is. For the classes that it has code for it takes the
//! vocabulary alone, and builds what surrounds it again from `tokenizer_config.json`; so text is put into lower case, say,
//! as that file has it.

mod added;
mod charsmap;
mod class;
mod fastembed;
mod frame;
mod settings;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::transformer::TransformerConfig;
use crate::{ModelError, json as json_file};
use class::Class;
pub use fastembed::missing_tokenizer_files;
use settings::Settings;

pub(crate) const FILE: &str = "tokenizer.json";
pub(crate) const CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(crate) const ADDED_TOKENS: &str = "added_tokens.json";

/// A model's tokenizer, as its directory describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerSpec {
    file: PathBuf,
    /// Values of the file, by their keys, that are others than the file says; those of "model" one by one.
    changes: Map<String, Value>,
    truncates_left: bool,
    /// Tokens at which a text is cut, where the files say it.
    pub(crate) max_length: Option<usize>,
}

/// The parts of `tokenizer.json` that can be others; the vocabulary is left where it is.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    added_tokens: Vec<Value>,
    truncation: Option<Truncation>,
    model: ModelParts,
}

#[derive(Deserialize)]
struct Truncation {
    direction: Option<String>,
}

/// What surrounds the vocabulary.
#[derive(Deserialize)]
struct ModelParts {
    r#type: Option<String>,
    #[serde(rename = "vocab")]
    _vocab: Option<IgnoredAny>,
    #[serde(rename = "merges")]
    _merges: Option<IgnoredAny>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl TokenizerSpec {
    /// A `tokenizer.json` as it is.
    pub fn from_file(file: &Path) -> Self {
        Self { file: file.to_owned(), changes: Map::new(), truncates_left: false, max_length: None }
    }

    /// Reads a tokenizer's files in the folder of an encoder with this `config.json`.
    ///
    /// Source: `AutoTokenizer.from_pretrained`, `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend` of
    /// transformers 5, and `Transformer.__init__` of sentence-transformers 6.
    pub(crate) fn read(folder: &Path, config: &Value, transformer: &TransformerConfig) -> Result<Self, ModelError> {
        let file = folder.join(FILE);
        let content = json_file::bytes(&file)?;
        let parts: Parts =
            serde_json::from_slice(&content).map_err(|error| ModelError::content(&file, error.to_string()))?;
        charsmap::check(&parts.normalizer).map_err(|what| ModelError::content(&file, what))?;
        let settings = Settings::read(folder, &transformer.tokenizer_args)?;
        let class = Class::of(settings.class.as_deref(), config);
        let refuse = |what| ModelError::content(&folder.join(CONFIG), what);
        let mut changes = Map::new();
        class.change(&settings, &parts, &mut changes).map_err(refuse)?;
        added::change(class, &settings, &parts, folder, &mut changes)?;
        frame::change(class, &settings, &parts, &content, &mut changes).map_err(refuse)?;
        if transformer.do_lower_case {
            lower_case(&parts, &mut changes);
        }
        let direction = parts.truncation.and_then(|truncation| truncation.direction);
        let side = settings.truncation_side.clone().or(direction.map(|side| side.to_lowercase()));
        let truncates_left = match side.as_deref() {
            None | Some("right") => false,
            Some("left") => true,
            Some(other) => return Err(refuse(format!("truncation_side \"{other}\" is neither right nor left"))),
        };
        Ok(Self { file, changes, truncates_left, max_length: settings.max_length })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a text that is too long loses its beginning, not its end.
    pub fn truncates_left(&self) -> bool {
        self.truncates_left
    }

    /// The content of a `tokenizer.json` that says all of it.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn content(&self) -> Result<Vec<u8>, ModelError> {
        if self.changes.is_empty() {
            return json_file::bytes(&self.file);
        }
        let mut content: Map<String, Value> = json_file::read(&self.file)?;
        for (key, value) in &self.changes {
            match (content.get_mut(key), value) {
                (Some(Value::Object(old)), Value::Object(new)) if key == "model" => old.extend(new.clone()),
                _ => drop(content.insert(key.clone(), value.clone())),
            }
        }
        Ok(Value::Object(content).to_string().into_bytes())
    }

    /// What the files beside `tokenizer.json` change about token ids; empty when nothing is other than it says.
    pub(crate) fn distinction(&self) -> String {
        let mut changes = self.changes.clone();
        if self.truncates_left {
            changes.insert("truncation_side".into(), "left".into());
        }
        if changes.is_empty() { String::new() } else { Value::Object(changes).to_string() }
    }
}

/// Puts text into lower case before all else, unless that is done anyhow.
fn lower_case(parts: &Parts, changes: &mut Map<String, Value>) {
    const LOWER: &str = "Lowercase";
    let is_lower = |normalizer: &Value| normalizer.get("type").is_some_and(|kind| kind == LOWER);
    let normalizer = changes.get("normalizer").unwrap_or(&parts.normalizer);
    let steps: Vec<Value> = match normalizer.get("normalizers").and_then(Value::as_array) {
        Some(steps) => steps.clone(),
        None if normalizer.is_null() => Vec::new(),
        None => vec![normalizer.clone()],
    };
    if !steps.iter().any(is_lower) {
        let steps: Vec<Value> = std::iter::once(json!({"type": LOWER})).chain(steps).collect();
        changes.insert("normalizer".into(), json!({"type": "Sequence", "normalizers": steps}));
    }
}
