//! The special tokens around a text.

use serde_json::{Map, Value, json};

use super::Parts;
use super::class::Class;
use super::settings::{Settings, content};

/// Adds the special tokens that a class puts around texts, where `tokenizer.json` has others; `file` is its content.
pub(super) fn change(
    class: Class,
    settings: &Settings,
    parts: &Parts,
    file: &[u8],
    changes: &mut Map<String, Value>,
) -> Result<(), String> {
    let (before, after) = match class {
        Class::Bert | Class::MpNet | Class::Roberta => ("cls_token", "sep_token"),
        Class::XlmRoberta => ("bos_token", "eos_token"),
        Class::Qwen2 | Class::AsItIs | Class::OtherCase => return Ok(()),
    };
    let token = |part: &str| {
        let default = class.special().iter().find(|(name, _)| *name == part).map_or("", |(_, text)| text);
        settings.special(part, default).to_owned()
    };
    let (before, after) = (token(before), token(after));
    let frame = [Some(before.as_str()), None, Some(after.as_str())];
    if found(&parts.post_processor) == frame {
        return Ok(());
    }
    let ids = Ids::of(file)?;
    let (first, last) = (ids.find(&before)?, ids.find(&after)?);
    let piece = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    let special = |token: &str, id: u64| (token.to_owned(), json!({"id": token, "ids": [id], "tokens": [token]}));
    changes.insert(
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

/// What a post-processor puts around one text, which is `None` there.
fn found(processor: &Value) -> Vec<Option<&str>> {
    let token = |key: &str| processor.get(key)?.get(0)?.as_str();
    match processor.get("type").and_then(Value::as_str) {
        Some("BertProcessing" | "RobertaProcessing") => vec![token("cls"), None, token("sep")],
        Some("TemplateProcessing") => {
            let pieces = processor.get("single").and_then(Value::as_array).into_iter().flatten();
            pieces.map(|piece| piece.pointer("/SpecialToken/id").and_then(Value::as_str)).collect()
        }
        Some("Sequence") => {
            let processors = processor.get("processors").and_then(Value::as_array).into_iter().flatten();
            let mut frames = processors.map(found).filter(|frame| frame.len() != 1);
            frames.next().unwrap_or_else(|| vec![None])
        }
        _ => vec![None],
    }
}

/// Tokens and their ids.
struct Ids(Value);

impl Ids {
    fn of(file: &[u8]) -> Result<Self, String> {
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
