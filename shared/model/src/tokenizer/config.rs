//! `tokenizer_config.json`, and `special_tokens_map.json` where it matters.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::{ModelError, files};

pub(crate) const CONFIG: &str = "tokenizer_config.json";
pub(crate) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

/// The roles that a special token can have, as transformers names them.
pub(crate) const SPECIAL_TOKEN_ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Keys that may also be given as arguments of the Transformer module.
#[rustfmt::skip]
const ARGUMENTS: [&str; 10] = [
    "add_prefix_space", "clean_up_tokenization_spaces", "do_lower_case", "model_max_length", "padding_side",
    "strip_accents", "tokenize_chinese_chars", "tokenizer_class", "truncation_side", "use_fast",
];

/// The settings of the files that token ids depend on.
#[derive(Debug, Default)]
pub(super) struct TokenizerConfig {
    /// `tokenizer_class`.
    pub(super) class: Option<String>,
    pub(super) do_lower_case: Option<bool>,
    pub(super) strip_accents: Option<bool>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) add_prefix_space: Option<bool>,
    pub(super) truncation_side: Option<String>,
    /// Some programs write 1e30 for "no limit".
    pub(super) max_length: Option<usize>,
    /// Special tokens by their role: a string, or an object with the string as `content`.
    pub(super) special: BTreeMap<&'static str, Value>,
    /// Special tokens without a role.
    pub(super) extra: Vec<Value>,
    /// Added tokens by their ids, if the file lists them.
    pub(super) added: Option<BTreeMap<u64, Value>>,
}

impl TokenizerConfig {
    /// Reads the settings in a folder; `arguments` take precedence.
    pub(super) fn read(folder: &Path, arguments: &Map<String, Value>) -> Result<Self, ModelError> {
        let path = folder.join(CONFIG);
        let mut config: Map<String, Value> = files::read_optional_json(&path)?.unwrap_or_default();
        let refuse = |what: String| ModelError::content(&path, what);
        if let Some((key, value)) = arguments.iter().find(|(key, _)| !ARGUMENTS.contains(&key.as_str())) {
            return Err(refuse(format!("{key} {value}, an argument of the Transformer module, is not supported")));
        }
        config.extend(arguments.clone());
        if !config.contains_key("added_tokens_decoder") {
            let map: Map<String, Value> =
                files::read_optional_json(&folder.join(SPECIAL_TOKENS_MAP))?.unwrap_or_default();
            config.extend(map);
        }
        Self::parse(&config).map_err(refuse)
    }

    fn parse(config: &Map<String, Value>) -> Result<Self, String> {
        let get = |key: &str| config.get(key).filter(|value| !value.is_null());
        let boolean = |key: &str| match get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(format!("{key} must be true or false, found {other}")),
        };
        let text = |key: &str| match get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value.clone())),
            Some(other) => Err(format!("{key} must be a string, found {other}")),
        };
        if boolean("split_special_tokens")? == Some(true) {
            return Err("split_special_tokens true is not supported".into());
        }
        if let Some(code) = get("auto_map").and_then(|map| map.get("AutoTokenizer")) {
            return Err(format!("its tokenizer is the model's own code, which is not run: {code}"));
        }
        let max_length = match get("model_max_length") {
            None => None,
            Some(length) => {
                let number = length.as_f64().filter(|number| *number >= 1.0);
                Some(number.ok_or_else(|| format!("model_max_length must be a number from 1, found {length}"))? as usize)
            }
        };
        let added = match get("added_tokens_decoder") {
            None => None,
            Some(tokens) => Some(by_id(tokens).ok_or("added_tokens_decoder must hold tokens by their ids")?),
        };
        let extra =
            ["extra_special_tokens", "additional_special_tokens"].into_iter().find_map(|key| get(key)?.as_array());
        Ok(Self {
            class: text("tokenizer_class")?,
            do_lower_case: boolean("do_lower_case")?,
            strip_accents: boolean("strip_accents")?,
            tokenize_chinese_chars: boolean("tokenize_chinese_chars")?,
            add_prefix_space: boolean("add_prefix_space")?,
            truncation_side: text("truncation_side")?,
            max_length,
            special: SPECIAL_TOKEN_ROLES.into_iter().filter_map(|role| Some((role, get(role)?.clone()))).collect(),
            extra: extra.cloned().unwrap_or_default(),
            added,
        })
    }

    /// The text of the special token with a role; `default` if the files do not name it.
    pub(super) fn special<'a>(&'a self, role: &str, default: &'a str) -> &'a str {
        self.special.get(role).and_then(content).unwrap_or(default)
    }
}

fn by_id(tokens: &Value) -> Option<BTreeMap<u64, Value>> {
    tokens.as_object()?.iter().map(|(id, token)| Some((id.parse().ok()?, token.clone()))).collect()
}

/// The text of a token, which is a string, or an object with the string as `content`.
pub(crate) fn content(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token.get("content")?.as_str())
}
