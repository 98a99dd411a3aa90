//! The special tokens that are put around a text.

use serde_json::{Map, Value, json};

use super::class::TokenizerClass;
use super::config::{TokenizerConfig, content};
use super::file::TokenizerFile;

/// Adds to `overrides` the special tokens that a class puts around a text, if `file` has others. `file_content` is the
/// content of the file, in which their ids are looked up.
pub(super) fn override_template(
    class: TokenizerClass,
    config: &TokenizerConfig,
    file: &TokenizerFile,
    file_content: &[u8],
    overrides: &mut Map<String, Value>,
) -> Result<(), String> {
    let (before, after) = match class {
        TokenizerClass::Bert | TokenizerClass::MpNet | TokenizerClass::Roberta => ("cls_token", "sep_token"),
        TokenizerClass::XlmRoberta => ("bos_token", "eos_token"),
        TokenizerClass::Qwen2 | TokenizerClass::Unchanged | TokenizerClass::UnsupportedCase => return Ok(()),
    };
    let token = |role: &str| {
        let default = class.default_special_tokens().iter().find(|(name, _)| *name == role);
        config.special(role, default.map_or("", |(_, text)| text)).to_owned()
    };
    let (before, after) = (token(before), token(after));
    let template = [Some(before.as_str()), None, Some(after.as_str())];
    if template_of(&file.post_processor) == template {
        return Ok(());
    }
    let ids = TokenIds::parse(file_content)?;
    let (first, last) = (ids.find(&before)?, ids.find(&after)?);
    let piece = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let special = |token: &str, id: u64| (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}));
    overrides.insert(
        "post_processor".into(),
        json!({
            "type": "TemplateProcessing",
            "single": [piece(&before), {"Sequence": {"id": "A", "type_id": 0}}, piece(&after)],
            "pair": [],
            "special_tokens": Map::from_iter([special(&before, first), special(&after, last)]),
        }),
    );
    Ok(())
}

/// The tokens that a post-processor puts around a single text, which is `None` in the list.
fn template_of(processor: &Value) -> Vec<Option<&str>> {
    let token = |key: &str| processor.get(key)?.get(0)?.as_str();
    match processor.get("type").and_then(Value::as_str) {
        Some("BertProcessing" | "RobertaProcessing") => vec![token("cls"), None, token("sep")],
        Some("TemplateProcessing") => {
            let pieces = processor.get("single").and_then(Value::as_array).into_iter().flatten();
            pieces.map(|piece| piece.pointer("/SpecialToken/id").and_then(Value::as_str)).collect()
        }
        Some("Sequence") => {
            let processors = processor.get("processors").and_then(Value::as_array).into_iter().flatten();
            let mut templates = processors.map(template_of).filter(|template| template.len() != 1);
            templates.next().unwrap_or_else(|| vec![None])
        }
        _ => vec![None],
    }
}

/// The ids of the tokens in `tokenizer.json`.
struct TokenIds(Value);

impl TokenIds {
    fn parse(file: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(file).map(Self).map_err(|error| format!("tokenizer.json: {error}"))
    }

    fn find(&self, token: &str) -> Result<u64, String> {
        let added = self.0.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
        let added = added.filter(|added| content(added) == Some(token)).find_map(|added| added.get("id")?.as_u64());
        let vocab = self.0.pointer("/model/vocab");
        let in_vocab = || match vocab? {
            Value::Object(ids) => ids.get(token)?.as_u64(),
            Value::Array(pieces) => pieces.iter().position(|piece| piece[0] == token).map(|id| id as u64),
            _ => None,
        };
        added.or_else(in_vocab).ok_or_else(|| format!("special token \"{token}\" is not in tokenizer.json"))
    }
}
