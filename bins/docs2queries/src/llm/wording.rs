//! Requests in the words of the server they go to, which it may correct.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::client::{Address, Host};
use crate::cli::TokenLimitName;

/// What OpenAI calls the longest reply, and what everybody else does.
const NAMES: [&str; 2] = ["max_completion_tokens", "max_tokens"];
const FORMAT: &str = "response_format";
const TEMPERATURE: &str = "temperature";

/// What servers say of a parameter that they do not know or take.
const REFUSALS: [&str; 18] = [
    "not support",
    "unsupported",
    "unrecognized",
    "unknown",
    "unexpected",
    "not permitted",
    "not allowed",
    "forbidden",
    "additional properties",
    "cannot find field",
    "unavailable",
    "deprecated",
    "not available",
    "not enabled",
    "extra",
    "instead",
    "please use",
    ": use ",
];
/// What they say when the parameter is right and its value, or the document, is not.
const OF_VALUES: [&str; 7] =
    ["too large", "too high", "at most", "less than", "greater than", "context length", "context window"];

/// How a server wants its requests. Their keys go by OpenAI's words, so that a reply of one server is found again
/// wherever the next request goes.
#[derive(Debug)]
pub(crate) struct Wording {
    words: Mutex<Words>,
}

/// The words of the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Words {
    /// One of `NAMES`.
    limit: &'static str,
    /// Whether the limit must keep its name: the user chose it, or the server has refused the other one.
    is_settled: bool,
    form: Form,
    /// Whether the temperature is sent.
    temperature: bool,
}

/// How the form of a reply is asked for, from the most that a server can do to the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    AsAsked,
    /// As some JSON object.
    Object,
    /// In the prompt only.
    Prompt,
}

impl Wording {
    /// For a model at a server; the user may know what the limit of a reply is called there.
    ///
    /// OpenAI's newer models refuse `max_tokens`, wherever they are served; Ollama takes the new name and ignores it
    /// (<https://github.com/ollama/ollama/issues/7125>), and Mistral refuses it.
    pub(crate) fn new(llm: &str, address: &Address, chosen: TokenLimitName) -> Self {
        let is_openais = match chosen {
            TokenLimitName::MaxCompletionTokens => true,
            TokenLimitName::MaxTokens => false,
            TokenLimitName::Auto => address.host.is_openai() || address.host == Host::Azure || is_of_openai(llm),
        };
        let limit = if is_openais { NAMES[0] } else { NAMES[1] };
        let is_settled = chosen != TokenLimitName::Auto;
        Self { words: Mutex::new(Words { limit, is_settled, form: Form::AsAsked, temperature: true }) }
    }

    /// The request as it is sent.
    pub(crate) fn of(&self, request: &Value) -> Value {
        let words = *self.words();
        let mut request = request.clone();
        let Some(fields) = request.as_object_mut() else { return request };
        if words.limit != NAMES[0]
            && let Some(limit) = fields.remove(NAMES[0])
        {
            fields.insert(words.limit.into(), limit);
        }
        match words.form {
            Form::Object if fields.contains_key(FORMAT) => {
                fields.insert(FORMAT.into(), serde_json::json!({"type": "json_object"}));
            }
            Form::Prompt => drop(fields.remove(FORMAT)),
            _ => {}
        }
        if !words.temperature {
            fields.remove(TEMPERATURE);
        }
        request
    }

    /// Learns from the body of an error with which a server refused a request: what the user may want to know of it.
    ///
    /// The next request has other words then; where it has the same, the server did not mean them.
    pub(crate) fn learn(&self, sent: &Value, body: &str) -> Option<String> {
        let refused = refused(sent, body)?;
        let mut words = self.words();
        match refused {
            FORMAT => {
                let is_object = sent[FORMAT]["type"] == "json_object";
                let less = if is_object { Form::Prompt } else { Form::Object };
                let what = if is_object { "as JSON" } else { "with a schema" };
                // Another request may have found out already.
                let is_news = words.form == Form::AsAsked || (is_object && words.form == Form::Object);
                is_news.then(|| {
                    words.form = less;
                    format!("the server does not take {FORMAT} {what}: the form of replies is asked for otherwise")
                })
            }
            TEMPERATURE => std::mem::take(&mut words.temperature).then(|| {
                format!("the server does not take this {TEMPERATURE}: it is left out, and the server's own holds")
            }),
            name if words.limit == name && !words.is_settled => {
                words.limit = if name == NAMES[0] { NAMES[1] } else { NAMES[0] };
                words.is_settled = true;
                Some(format!("the server does not take {name}: the limit is called {} from now on", words.limit))
            }
            _ => None,
        }
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        // Each change is whole before the next begins, so a panic elsewhere does not spoil it.
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a model is one of OpenAI's newer ones, by its name, with a router's prefix or without.
fn is_of_openai(llm: &str) -> bool {
    let name = llm.rsplit('/').next().unwrap_or(llm);
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.strip_prefix("gpt-").is_some_and(is_number)
        || name
            .strip_prefix('o')
            .is_some_and(|rest| is_number(rest) && rest[1..].chars().next().is_none_or(|c| c == '-'))
}

/// The parameter of a request that the body of an error refuses, if it is one that can be said otherwise.
fn refused(sent: &Value, body: &str) -> Option<&'static str> {
    let body = body.to_lowercase();
    let sent_names = [NAMES[0], NAMES[1], FORMAT, TEMPERATURE].into_iter().filter(|name| sent.get(*name).is_some());
    let candidates: Vec<&str> = sent_names.filter(|name| is_named(&body, name)).collect();
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    let field = value["error"]["param"].as_str().or_else(|| value["param"].as_str()).unwrap_or_default();
    let meant = candidates.iter().find(|name| field.starts_with(**name)).or_else(|| candidates.first())?;
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| body.contains(phrase));
    // Whatever is wrong with the form, a simpler one may do.
    (*meant == FORMAT || (says(&REFUSALS) && !says(&OF_VALUES))).then_some(*meant)
}

/// Whether a text names a parameter, as a word of its own.
fn is_named(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names: &[&str] = if name == FORMAT { &[FORMAT, "json_schema", "json_object"] } else { &[name] };
    names.iter().any(|name| {
        let mut places = text.match_indices(name).map(|(at, _)| at);
        places.any(|at| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wording(llm: &str, url: &str) -> Wording {
        Wording::new(llm, &Address::read(url).unwrap(), TokenLimitName::Auto)
    }

    #[test]
    fn every_server_hears_of_the_limit() {
        let request = json!({"model": "m", "max_completion_tokens": 9});
        for (llm, url) in [
            ("o9-mini", ""),
            ("any", "https://name.openai.azure.com/openai/deployments/mini"),
            ("any", "https://name.openai.azure.us/openai/deployments/mini"),
            ("any", "https://eu.api.openai.com/v1"),
            ("gpt-5-mini-2025-08-07", "http://gateway:1/v1"),
            ("openai/gpt-5-mini", "https://models.github.ai/inference"),
            ("openai/o4-mini", "https://openrouter.ai/api/v1"),
        ] {
            assert_eq!(wording(llm, url).of(&request), request, "{llm} at {url}");
        }
        let renamed = json!({"model": "m", "max_tokens": 9});
        for llm in ["gpt-oss:20b", "openai/gpt-oss-20b", "qwen3:8b", "olmo-2", "gpt4all", "o1lama", ""] {
            assert_eq!(wording(llm, "http://localhost:11434/v1").of(&request), renamed, "{llm}");
        }
        assert_eq!(wording("mistral-small", "https://models.inference.ai.azure.com").of(&request), renamed);
        let chosen = |name| Wording::new("qwen3", &Address::read("http://h/v1").unwrap(), name).of(&request);
        assert_eq!(
            (chosen(TokenLimitName::MaxCompletionTokens), chosen(TokenLimitName::MaxTokens)),
            (request, renamed)
        );
        let request = json!({"model": "m"});
        assert_eq!(wording("m", "http://h/v1").of(&request), request);
    }

    #[test]
    fn the_limits_name_follows_the_server() {
        let request = json!({"model": "m", "max_completion_tokens": 9});
        for (url, body) in [
            (
                "http://h/v1",
                r#"{"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "param": "max_tokens", "code": "unsupported_parameter"}}"#,
            ),
            ("", r#"{"error": {"message": "Unrecognized request argument supplied: max_completion_tokens"}}"#),
            (
                "",
                r#"{"object": "error", "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted', 'input': 9}]", "code": 400}"#,
            ),
            (
                "",
                r#"{"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}"#,
            ),
            (
                "",
                r#"[{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"max_completion_tokens\": Cannot find field."}}]"#,
            ),
        ] {
            let wording = wording("m", url);
            let sent = wording.of(&request);
            assert!(wording.learn(&sent, body).is_some(), "{body}");
            let again = wording.of(&request);
            assert_ne!(again, sent, "{body}");
            // One that went out before the answer came changes nothing, and neither does a server that takes neither.
            assert_eq!((wording.learn(&sent, body), wording.of(&request)), (None, again.clone()));
            let both = body.replace("max_completion_tokens", "max_tokens and max_completion_tokens");
            assert_eq!((wording.learn(&again, &both), wording.of(&request)), (None, again));
        }
        let wording = wording("m", "http://h/v1");
        let sent = wording.of(&request);
        assert!(wording.learn(&sent, "Invalid value for max_tokens: use max_completion_tokens").is_some());
        for other in [
            "max_tokens is too large: 9. This model supports at most 8 completion tokens",
            "'max_tokens' or 'max_completion_tokens' is too large: 9. This model's maximum context length is 8",
            "max_tokens must be positive",
            "unknown parameter: max_tokens_to_sample",
            "unknown model",
            "",
        ] {
            let wording = self::wording("m", "http://h/v1");
            assert_eq!(wording.learn(&wording.of(&request), other), None, "{other}");
        }
        let chosen = Wording::new("m", &Address::read("").unwrap(), TokenLimitName::MaxTokens);
        assert_eq!(chosen.learn(&chosen.of(&request), "max_tokens is not supported"), None, "the user's word holds");
    }

    #[test]
    fn forms_and_temperatures_follow_too() {
        let schema = json!({"type": "json_schema", "json_schema": {}});
        let request = json!({"model": "m", "response_format": schema, "temperature": 0.5});
        let wording = wording("m", "http://h/v1");
        let mut heard = Vec::new();
        for body in [
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
            r#"{"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.", "param": "temperature"}}"#,
            "'response_format.type' must be 'text'",
        ] {
            heard.extend(wording.learn(&wording.of(&request), body));
        }
        assert_eq!(heard.len(), 3, "{heard:?}");
        assert_eq!(wording.of(&request), json!({"model": "m"}));
        let object = json!({"model": "m", "response_format": {"type": "json_object"}});
        let fresh = self::wording("m", "http://h/v1");
        assert_eq!(fresh.learn(&object, "temperature is unsupported"), None, "it was not sent");
        assert!(fresh.learn(&object, "json_object is unavailable").is_some());
        assert_eq!(fresh.of(&request)["response_format"], json!(null));
        assert_eq!(fresh.learn(&request, "temperature must be less than 0.5 or is not supported"), None);
    }
}
