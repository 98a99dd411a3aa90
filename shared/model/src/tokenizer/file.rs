//! `tokenizer.json`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The parts of `tokenizer.json` that other files may override. The vocabulary is skipped.
#[derive(Deserialize)]
pub(super) struct TokenizerFile {
    #[serde(default)]
    pub(super) normalizer: Value,
    #[serde(default)]
    pub(super) pre_tokenizer: Value,
    #[serde(default)]
    pub(super) post_processor: Value,
    #[serde(default)]
    pub(super) added_tokens: Vec<Value>,
    pub(super) truncation: Option<Truncation>,
    pub(super) model: Model,
}

#[derive(Deserialize)]
pub(super) struct Truncation {
    pub(super) direction: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Model {
    pub(super) r#type: Option<String>,
    #[serde(rename = "vocab")]
    _vocab: Option<IgnoredAny>,
    #[serde(rename = "merges")]
    _merges: Option<IgnoredAny>,
    #[serde(flatten)]
    pub(super) rest: Map<String, Value>,
}

/// The table of characters that a sentencepiece model contains, as the only normalizer or as one of several steps.
pub(super) fn precompiled(normalizer: &Value) -> Option<&Value> {
    let is_one = |step: &&Value| step.get("type").is_some_and(|kind| kind == "Precompiled");
    Some(normalizer).filter(is_one).or_else(|| normalizer.get("normalizers")?.as_array()?.iter().find(is_one))
}
