//! Added tokens, which are searched for in a text before it is split.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::class::TokenizerClass;
use super::config::{SPECIAL_TOKEN_ROLES, TokenizerConfig, content};
use super::file::TokenizerFile;
use crate::{ModelError, files};

const ADDED_TOKENS: &str = "added_tokens.json";

/// The flags of a token that affect ids: the characters that may surround it, and whether normalized text is searched.
const FLAGS: [&str; 4] = ["single_word", "lstrip", "rstrip", "normalized"];

/// Adds the list of added tokens to `overrides`, if it differs from that of `file`.
///
/// Source: `PreTrainedTokenizerBase._from_pretrained` and `TokenizersBackend.__init__` of transformers 5.
pub(super) fn override_list(
    class: TokenizerClass,
    config: &TokenizerConfig,
    file: &TokenizerFile,
    folder: &Path,
    overrides: &mut Map<String, Value>,
) -> Result<(), ModelError> {
    let special = special_tokens(class, config);
    // A class that takes the vocabulary only ignores the file's list if tokenizer_config.json has one.
    let uses_file = config.added.is_none() || !class.takes_vocabulary_only();
    let mut tokens: Vec<Value> = if uses_file { file.added_tokens.clone() } else { Vec::new() };
    match &config.added {
        Some(added) => {
            let new: Vec<Value> = added.iter().map(|(id, token)| with_id(token, *id)).collect();
            tokens.retain(|token| !new.iter().any(|new| content(new) == content(token)));
            tokens.extend(new);
        }
        None => {
            let added: BTreeMap<String, u64> =
                files::read_optional_json(&folder.join(ADDED_TOKENS))?.unwrap_or_default();
            let mut added: Vec<(u64, String)> = added.into_iter().map(|(token, id)| (id, token)).collect();
            added.sort();
            for (id, token) in added {
                if !tokens.iter().any(|other| content(other) == Some(token.as_str())) {
                    let is_special = special.iter().any(|special| content(special) == Some(token.as_str()));
                    tokens.push(with_id(&token_object(&token, is_special), id));
                }
            }
        }
    }
    for token in special {
        if !tokens.iter().any(|other| content(other) == content(&token)) {
            tokens.push(with_id(&token, 0));
        }
    }
    let flags_by_text = |tokens: &[Value]| -> BTreeMap<String, [bool; 4]> {
        let flags = |token: &Value| FLAGS.map(|flag| token.get(flag).is_some_and(|on| *on == true));
        tokens.iter().filter_map(|token| Some((content(token)?.to_owned(), flags(token)))).collect()
    };
    if flags_by_text(&tokens) != flags_by_text(&file.added_tokens) {
        overrides.insert("added_tokens".into(), tokens.into());
    }
    Ok(())
}

/// The special tokens of all roles, and those without a role.
fn special_tokens(class: TokenizerClass, config: &TokenizerConfig) -> Vec<Value> {
    let default =
        |role: &str| class.default_special_tokens().iter().find(|(name, _)| *name == role).map(|(_, text)| *text);
    let by_role = |role: &'static str| {
        let token = config.special.get(role).cloned().or_else(|| Some(default(role)?.into()))?;
        // MPNet's mask token includes the space before it.
        let includes_space = class == TokenizerClass::MpNet && role == "mask_token" && token.is_string();
        let mut token = as_object(&token)?;
        if includes_space {
            token.insert("lstrip".into(), true.into());
        }
        Some(token.into())
    };
    let extra = config.extra.iter().filter_map(|token| Some(as_object(token)?.into()));
    SPECIAL_TOKEN_ROLES.into_iter().filter_map(by_role).chain(extra).collect()
}

/// A token with all its flags. A plain string means a special token with the default flags.
fn as_object(token: &Value) -> Option<Map<String, Value>> {
    let mut object = token_object(content(token)?, true).as_object().cloned()?;
    if let Some(given) = token.as_object() {
        object
            .extend(given.iter().filter(|(key, _)| FLAGS.contains(&key.as_str())).map(|(k, v)| (k.clone(), v.clone())));
    }
    Some(object)
}

/// A token with the default flags.
fn token_object(text: &str, special: bool) -> Value {
    json!({
        "content": text,
        "single_word": false,
        "lstrip": false,
        "rstrip": false,
        "normalized": !special,
        "special": special,
    })
}

/// A token as `tokenizer.json` lists it. The library ignores the id: a token that the vocabulary lacks gets the next
/// one.
fn with_id(token: &Value, id: u64) -> Value {
    let mut object = as_object(token).unwrap_or_default();
    if let Some(special) = token.get("special") {
        object.insert("special".into(), special.clone());
    }
    object.insert("id".into(), id.into());
    object.into()
}
