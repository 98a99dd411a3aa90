//! Files beside `tokenizer.json` that fastembed needs and embtune does not.

use serde_json::{Map, Value, json};

use crate::directory::ModelDir;
use crate::tokenizer::{CONFIG, SPECIAL_TOKEN_ROLES, SPECIAL_TOKENS_MAP, content};
use crate::{ModelError, files};

/// The keys of a token in `special_tokens_map.json`.
const TOKEN_KEYS: [&str; 5] = ["content", "lstrip", "normalized", "rstrip", "single_word"];

/// The files that fastembed needs and the directory lacks, or has in another form: their names and contents.
///
/// fastembed needs `tokenizer_config.json` with an integer as `model_max_length` (transformers writes 1e30 for "none"),
/// at which it cuts texts, and with the padding token as a string. Its Rust version also needs
/// `special_tokens_map.json`, which transformers 5 no longer writes. It adds the tokens of that file to the tokenizer
/// again, so that they must have all their flags. Files that have this form already stay unchanged.
///
/// # Errors
/// A file cannot be read.
pub fn missing_tokenizer_files(model: &ModelDir) -> Result<Vec<(&'static str, Value)>, ModelError> {
    let folder = model.tokenizer_folder();
    let found: Option<Map<String, Value>> = files::read_optional_json(&folder.join(CONFIG))?;
    let mut config = found.clone().unwrap_or_default();
    if !config.get("model_max_length").is_some_and(Value::is_u64) {
        config.insert("model_max_length".into(), model.max_seq_length().into());
    }
    let file = model.tokenizer().file();
    let tokenizer: Value = files::parse_json(file, &files::read_bytes(file)?)?;
    let added = tokenizer.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let pad_id = json!(model.config().pad_token_id);
    let by_id = || added.iter().find(|token| token.get("id") == Some(&pad_id)).and_then(content);
    let pad_token = config.get("pad_token").and_then(content).or_else(by_id).map(str::to_owned);
    if let Some(token) = pad_token {
        config.insert("pad_token".into(), token.into());
    }
    let mut missing = Vec::new();
    if !folder.join(SPECIAL_TOKENS_MAP).exists() {
        let entry = |role: &str| {
            let text = config.get(role).and_then(content)?;
            let token = added.iter().find(|token| content(token) == Some(text))?;
            let values = TOKEN_KEYS.map(|key| (key.to_owned(), token.get(key).cloned().unwrap_or_default()));
            Some((role.to_owned(), Value::Object(values.into_iter().collect())))
        };
        let map: Map<_, _> = SPECIAL_TOKEN_ROLES.into_iter().filter_map(entry).collect();
        missing.push((SPECIAL_TOKENS_MAP, map.into()));
    }
    if found.as_ref() != Some(&config) {
        missing.push((CONFIG, config.into()));
    }
    Ok(missing)
}
