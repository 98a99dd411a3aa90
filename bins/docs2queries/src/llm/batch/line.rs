//! Lines of request and result files.

use serde_json::{Value, json};

use crate::llm::journal::Key;
use crate::llm::reply::shown;

/// The line of a request.
pub(super) fn of(key: Key, request: &Value) -> String {
    let line = json!({"custom_id": key.text(), "method": "POST", "url": "/v1/chat/completions", "body": request});
    format!("{line}\n")
}

/// What a line of a result or error file says.
#[derive(Debug, PartialEq)]
pub(super) enum Result {
    /// The reply to a request.
    Reply { key: Key, reply: Value },
    /// Why a request has no reply.
    Error(String),
    /// Somebody else's.
    Other,
}

impl Result {
    /// Reads a line as leniently as servers write it.
    pub(super) fn read(line: &Value) -> Self {
        let Some(key) = line["custom_id"].as_str().and_then(Key::read) else { return Self::Other };
        let body = &line["response"]["body"];
        let is_success = line["response"]["status_code"].as_u64().is_none_or(|status| (200..300).contains(&status));
        if is_success && body["choices"].is_array() {
            return Self::Reply { key, reply: body.clone() };
        }
        let error = &line["error"];
        let words =
            [&body["error"]["message"], &body["message"], &error["message"], &error["error"]["message"], error, body];
        let said = words.into_iter().find(|words| !words.is_null()).map(|words| match words.as_str() {
            Some(text) => text.to_owned(),
            None => words.to_string(),
        });
        Self::Error(shown(&said.unwrap_or_else(|| "no reason given".into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_leniently() {
        let key = Key::of(&json!({"a": 1}));
        let read = |response: Value, error: Value| {
            Result::read(&json!({"id": "x", "custom_id": key.text(), "response": response, "error": error}))
        };
        let body = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
        let reply = Result::Reply { key, reply: body.clone() };
        assert_eq!(read(json!({"status_code": 200, "body": body}), Value::Null), reply);
        // Not every program gives a status.
        assert_eq!(read(json!({"body": body}), Value::Null), reply);
        let error = |text: &str| Result::Error(text.into());
        assert_eq!(read(json!({"status_code": 400, "body": {"error": {"message": "bad"}}}), Value::Null), error("bad"));
        assert_eq!(read(Value::Null, json!({"code": "batch_expired", "message": "too late"})), error("too late"));
        // vLLM's forms of an error of the engine's, and of any other.
        let wrapped = json!({"error": {"message": "too long", "type": "BadRequestError", "param": null, "code": 400}});
        let response = json!({"status_code": 400, "request_id": "vllm-batch-1", "body": null});
        assert_eq!(read(response.clone(), wrapped), error("too long"));
        assert_eq!(
            read(response, json!("Request must not be sent in stream mode")),
            error("Request must not be sent in stream mode")
        );
        assert_eq!(read(Value::Null, Value::Null), error("no reason given"));
        assert_eq!(Result::read(&json!({"custom_id": "request-1", "response": null})), Result::Other);
        assert_eq!(Result::read(&json!([1])), Result::Other);
    }
}
