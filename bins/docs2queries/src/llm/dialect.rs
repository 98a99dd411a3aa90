//! The parameters that a server accepts, learnt from its refusals of others.

use std::sync::Mutex;

use serde_json::Value;

use super::address::{Address, Host};
use super::lock;
use crate::text::has_phrase;

/// OpenAI's name for the limit on a reply's tokens, and everybody else's.
const LIMIT_NAMES: [&str; 2] = ["max_completion_tokens", "max_tokens"];
const FORMAT: &str = "response_format";
const TEMPERATURE: &str = "temperature";

/// Phrases with which servers refuse a parameter.
const REFUSALS: &str = "not support|unsupported|unrecognized|unknown|unexpected|not permitted|not allowed|forbidden|\
    additional properties|cannot find field|unavailable|deprecated|not available|not enabled|extra|instead|\
    please use|: use ";
/// Phrases with which they accept the parameter and refuse its value or the prompt.
const VALUE_ERRORS: &str = "too large|too high|at most|less than|greater than|context length|context window";

/// The form in which a server accepts requests.
///
/// A request's journal key is computed before it is translated, so that its reply is found again whichever server the
/// next run asks.
#[derive(Debug)]
pub(super) struct RequestDialect {
    parameters: Mutex<Parameters>,
}

/// The parameters of the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parameters {
    /// One of `LIMIT_NAMES`.
    limit_name: &'static str,
    /// Whether the server has refused the other name, so that this one is not changed again.
    is_limit_settled: bool,
    format: ResponseFormat,
    /// Whether the temperature is sent.
    has_temperature: bool,
}

/// How the form of a reply is requested, from the strictest way to the loosest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResponseFormat {
    AsRequested,
    JsonObject,
    /// In the prompt only.
    Unspecified,
}

impl RequestDialect {
    /// The dialect that a model at a server most likely understands.
    ///
    /// OpenAI's newer models refuse `max_tokens`, wherever they are served; Ollama accepts the new name and ignores it
    /// (<https://github.com/ollama/ollama/issues/7125>), and Mistral refuses it.
    pub(super) fn new(model: &str, address: &Address) -> Self {
        let is_openai = address.host.is_openai() || address.host == Host::Azure || is_openai_model(model);
        let limit_name = if is_openai { LIMIT_NAMES[0] } else { LIMIT_NAMES[1] };
        let format = ResponseFormat::AsRequested;
        Self {
            parameters: Mutex::new(Parameters { limit_name, is_limit_settled: false, format, has_temperature: true }),
        }
    }

    /// The request as it is sent.
    pub(super) fn translate(&self, request: &Value) -> Value {
        let parameters = *lock(&self.parameters);
        let mut request = request.clone();
        let Some(fields) = request.as_object_mut() else { return request };
        if parameters.limit_name != LIMIT_NAMES[0]
            && let Some(limit) = fields.remove(LIMIT_NAMES[0])
        {
            fields.insert(parameters.limit_name.into(), limit);
        }
        match parameters.format {
            ResponseFormat::JsonObject if fields.contains_key(FORMAT) => {
                fields.insert(FORMAT.into(), serde_json::json!({"type": "json_object"}));
            }
            ResponseFormat::Unspecified => drop(fields.remove(FORMAT)),
            _ => {}
        }
        if !parameters.has_temperature {
            fields.remove(TEMPERATURE);
        }
        request
    }

    /// Learns from the body of an error that refused a request. Returns a message for the user if anything was learnt.
    ///
    /// The next translation then differs from the refused one. If it does not, the error was about something else.
    pub(super) fn learn(&self, sent: &Value, body: &str) -> Option<String> {
        let refused = refused_parameter(sent, body)?;
        let mut parameters = lock(&self.parameters);
        match refused {
            FORMAT => {
                let is_object = sent[FORMAT]["type"] == "json_object";
                let simpler = if is_object { ResponseFormat::Unspecified } else { ResponseFormat::JsonObject };
                let kind = if is_object { "json_object" } else { "json_schema" };
                // Another request may have found out already.
                let is_news = parameters.format == ResponseFormat::AsRequested
                    || (is_object && parameters.format == ResponseFormat::JsonObject);
                is_news.then(|| {
                    parameters.format = simpler;
                    let instead = if is_object { "in the prompt only" } else { "as any JSON object" };
                    format!("the server does not support {FORMAT} {kind}; asking for the form of replies {instead}")
                })
            }
            TEMPERATURE => std::mem::take(&mut parameters.has_temperature)
                .then(|| format!("the server does not support this {TEMPERATURE}; leaving it to the server")),
            name if parameters.limit_name == name && !parameters.is_limit_settled => {
                parameters.limit_name = if name == LIMIT_NAMES[0] { LIMIT_NAMES[1] } else { LIMIT_NAMES[0] };
                parameters.is_limit_settled = true;
                Some(format!("the server does not support {name}; using {} instead", parameters.limit_name))
            }
            _ => None,
        }
    }
}

/// Whether a name, with or without a router's prefix, is that of one of OpenAI's newer models.
fn is_openai_model(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    name.strip_prefix("gpt-").is_some_and(is_number)
        || name
            .strip_prefix('o')
            .is_some_and(|rest| is_number(rest) && rest[1..].chars().next().is_none_or(|c| c == '-'))
}

/// The parameter that an error body refuses, if it is one that has an alternative.
fn refused_parameter(sent: &Value, body: &str) -> Option<&'static str> {
    let body = body.to_lowercase();
    let names = [LIMIT_NAMES[0], LIMIT_NAMES[1], FORMAT, TEMPERATURE];
    let sent_names = names.into_iter().filter(|name| sent.get(*name).is_some());
    let candidates: Vec<&str> = sent_names.filter(|name| is_named(&body, name)).collect();
    let value: Value = serde_json::from_str(&body).unwrap_or_default();
    let field = value["error"]["param"].as_str().or_else(|| value["param"].as_str()).unwrap_or_default();
    let refused = candidates.iter().find(|name| field.starts_with(**name)).or_else(|| candidates.first())?;
    // Whatever is wrong with the format, a simpler one may do.
    (*refused == FORMAT || (has_phrase(REFUSALS, &body) && !has_phrase(VALUE_ERRORS, &body))).then_some(*refused)
}

/// Whether a text names a parameter, as a whole word.
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

    fn dialect(model: &str, url: &str) -> RequestDialect {
        RequestDialect::new(model, &Address::parse(url).unwrap())
    }

    #[test]
    fn every_server_gets_the_limit_under_its_name() {
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
            assert_eq!(dialect(llm, url).translate(&request), request, "{llm} at {url}");
        }
        let renamed = json!({"model": "m", "max_tokens": 9});
        for llm in ["gpt-oss:20b", "openai/gpt-oss-20b", "qwen3:8b", "olmo-2", "gpt4all", "o1lama", ""] {
            assert_eq!(dialect(llm, "http://localhost:11434/v1").translate(&request), renamed, "{llm}");
        }
        assert_eq!(dialect("mistral-small", "https://models.inference.ai.azure.com").translate(&request), renamed);
        let request = json!({"model": "m"});
        assert_eq!(dialect("m", "http://h/v1").translate(&request), request);
    }

    #[test]
    fn the_limits_name_follows_the_servers_refusal() {
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
            let dialect = dialect("m", url);
            let sent = dialect.translate(&request);
            assert!(dialect.learn(&sent, body).is_some(), "{body}");
            let again = dialect.translate(&request);
            assert_ne!(again, sent, "{body}");
            // The refusal of a request that was sent before changes nothing, and neither does a server that refuses
            // both.
            assert_eq!((dialect.learn(&sent, body), dialect.translate(&request)), (None, again.clone()));
            let both = body.replace("max_completion_tokens", "max_tokens and max_completion_tokens");
            assert_eq!((dialect.learn(&again, &both), dialect.translate(&request)), (None, again));
        }
        let dialect = dialect("m", "http://h/v1");
        let sent = dialect.translate(&request);
        assert!(dialect.learn(&sent, "Invalid value for max_tokens: use max_completion_tokens").is_some());
        for other in [
            "max_tokens is too large: 9. This model supports at most 8 completion tokens",
            "'max_tokens' or 'max_completion_tokens' is too large: 9. This model's maximum context length is 8",
            "max_tokens must be positive",
            "unknown parameter: max_tokens_to_sample",
            "unknown model",
            "",
        ] {
            let dialect = self::dialect("m", "http://h/v1");
            assert_eq!(dialect.learn(&dialect.translate(&request), other), None, "{other}");
        }
    }

    #[test]
    fn so_do_the_format_and_the_temperature() {
        let schema = json!({"type": "json_schema", "json_schema": {}});
        let request = json!({"model": "m", "response_format": schema, "temperature": 0.5});
        let dialect = dialect("m", "http://h/v1");
        let mut learnt = Vec::new();
        for body in [
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
            r#"{"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.", "param": "temperature"}}"#,
            "'response_format.type' must be 'text'",
        ] {
            learnt.extend(dialect.learn(&dialect.translate(&request), body));
        }
        assert_eq!(learnt.len(), 3, "{learnt:?}");
        assert_eq!(dialect.translate(&request), json!({"model": "m"}));
        let object = json!({"model": "m", "response_format": {"type": "json_object"}});
        let fresh = self::dialect("m", "http://h/v1");
        assert_eq!(fresh.learn(&object, "temperature is unsupported"), None, "it was not sent");
        assert!(fresh.learn(&object, "json_object is unavailable").is_some());
        assert_eq!(fresh.translate(&request)["response_format"], json!(null));
        assert_eq!(fresh.learn(&request, "temperature must be less than 0.5 or is not supported"), None);
    }
}
