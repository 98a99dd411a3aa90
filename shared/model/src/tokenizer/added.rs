//! Tokens that are looked for before a text is divided.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::class::Class;
use super::settings::{PARTS, Settings, content};
use super::{ADDED_TOKENS, Parts};
use crate::{ModelError, json as json_file};

/// What may surround a token, and whether it is searched for in normalized text. Ids depend on nothing else.
const FLAGS: [&str; 4] = ["single_word", "lstrip", "rstrip", "normalized"];

/// Adds the tokens that are looked for, where they are others than `tokenizer.json` has.
///
/// Source: `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__` of transformers 5.
pub(super) fn change(
    class: Class,
    settings: &Settings,
    parts: &Parts,
    folder: &Path,
    changes: &mut Map<String, Value>,
) -> Result<(), ModelError> {
    let special = special_tokens(class, settings);
    // A class that builds its parts itself takes the list of tokenizer_config.json for the whole truth, if there is one.
    let of_file = settings.added.is_none() || !class.builds();
    let mut tokens: Vec<Value> = if of_file { parts.added_tokens.clone() } else { Vec::new() };
    match &settings.added {
        Some(added) => {
            let new: Vec<Value> = added.iter().map(|(id, token)| with_id(token, *id)).collect();
            tokens.retain(|token| !new.iter().any(|new| content(new) == content(token)));
            tokens.extend(new);
        }
        None => {
            let added: BTreeMap<String, u64> =
                json_file::read_optional(&folder.join(ADDED_TOKENS))?.unwrap_or_default();
            let mut added: Vec<(u64, String)> = added.into_iter().map(|(token, id)| (id, token)).collect();
            added.sort();
            for (id, token) in added {
                if !tokens.iter().any(|other| content(other) == Some(token.as_str())) {
                    let is_special = special.iter().any(|special| content(special) == Some(token.as_str()));
                    tokens.push(with_id(&plain(&token, is_special), id));
                }
            }
        }
    }
    for token in special {
        if !tokens.iter().any(|other| content(other) == content(&token)) {
            tokens.push(with_id(&token, 0));
        }
    }
    let essence = |tokens: &[Value]| -> BTreeMap<String, [bool; 4]> {
        let flags = |token: &Value| FLAGS.map(|flag| token.get(flag).is_some_and(|on| *on == true));
        tokens.iter().filter_map(|token| Some((content(token)?.to_owned(), flags(token)))).collect()
    };
    if essence(&tokens) != essence(&parts.added_tokens) {
        changes.insert("added_tokens".into(), tokens.into());
    }
    Ok(())
}

/// Special tokens by their parts, and those without one.
fn special_tokens(class: Class, settings: &Settings) -> Vec<Value> {
    let of_class = |part: &str| class.special().iter().find(|(name, _)| *name == part).map(|(_, text)| *text);
    let of_part = |part: &'static str| {
        let token = settings.special.get(part).cloned().or_else(|| Some(of_class(part)?.into()))?;
        // MPNet's mask takes the blank before it along.
        let takes_blank = class == Class::MpNet && part == "mask_token" && token.is_string();
        let mut token = as_object(&token)?;
        if takes_blank {
            token.insert("lstrip".into(), true.into());
        }
        Some(token.into())
    };
    let extra = settings.extra.iter().filter_map(|token| Some(as_object(token)?.into()));
    PARTS.into_iter().filter_map(of_part).chain(extra).collect()
}

/// A token with all its flags; a text alone is a special token.
fn as_object(token: &Value) -> Option<Map<String, Value>> {
    let mut object = plain(content(token)?, true).as_object().cloned()?;
    if let Some(given) = token.as_object() {
        object
            .extend(given.iter().filter(|(key, _)| FLAGS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
    }
    Some(object)
}

fn plain(text: &str, special: bool) -> Value {
    json!({
        "content": text,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": !special,
        "special": special,
    })
}

/// As `tokenizer.json` has it. The id is what is written there; a token that the vocabulary lacks gets the next one.
fn with_id(token: &Value, id: u64) -> Value {
    let mut object = as_object(token).unwrap_or_default();
    if let Some(special) = token.get("special") {
        object.insert("special".into(), special.clone());
    }
    object.insert("id".into(), id.into());
    object.into()
}
