//! Files beside `tokenizer.json` that embtune does not need and other readers do.

use serde_json::{Map, Value, json};

use super::settings::{PARTS, content as text};
use super::{CONFIG, SPECIAL_TOKENS_MAP as MAP};
use crate::{ModelDir, ModelError, json as json_file};

/// What a token of the map is, as transformers names it.
const FLAGS: [&str; 5] = ["content", "lstrip", "normalized", "rstrip", "single_word"];

/// Files that fastembed wants and the directory lacks, or has in another form: names and what they must hold.
///
/// `tokenizer_config.json` must have a whole number as `model_max_length` (transformers writes 1e30 for "none"), at which
/// texts are cut there, and the padding token as text. The Rust version also wants `special_tokens_map.json`, which
/// transformers 5 no longer writes; its tokens are added to the tokenizer again, and so have all that `tokenizer.json`
/// says of them. What is there in that form stays as it is.
///
/// # Errors
/// A file that cannot be read.
pub fn missing_tokenizer_files(model: &ModelDir) -> Result<Vec<(&'static str, Value)>, ModelError> {
    let folder = model.encoder_folder();
    let found: Option<Map<String, Value>> = json_file::read_optional(&folder.join(CONFIG))?;
    let mut config = found.clone().unwrap_or_default();
    if !config.get("model_max_length").is_some_and(Value::is_u64) {
        config.insert("model_max_length".into(), model.max_seq_length().into());
    }
    let tokenizer: Value = json_file::read(model.tokenizer().file())?;
    let added = tokenizer.get("added_tokens").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let pad_id = json!(model.config().pad_token_id());
    let by_id = || added.iter().find(|token| token.get("id") == Some(&pad_id)).and_then(text);
    let padding = config.get("pad_token").and_then(text).or_else(by_id).map(str::to_owned);
    if let Some(token) = padding {
        config.insert("pad_token".into(), token.into());
    }
    let mut files = Vec::new();
    if !folder.join(MAP).exists() {
        let part = |part: &str| {
            let content = config.get(part).and_then(text)?;
            let token = added.iter().find(|token| text(token) == Some(content))?;
            let flags = FLAGS.into_iter().map(|flag| (flag.to_owned(), token.get(flag).cloned().unwrap_or_default()));
            Some((part.to_owned(), Value::Object(flags.collect())))
        };
        files.push((MAP, PARTS.into_iter().filter_map(part).collect::<Map<_, _>>().into()));
    }
    if found.as_ref() != Some(&config) {
        files.push((CONFIG, config.into()));
    }
    Ok(files)
}
