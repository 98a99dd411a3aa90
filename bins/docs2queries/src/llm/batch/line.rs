//! Lines of request and result files.

use serde_json::{Value, json};

use crate::llm::client::Failure;
use crate::llm::journal::Key;
use crate::llm::json;

/// The line of a request.
pub(super) fn of(key: Key, request: &Value) -> String {
    let line = json!({"custom_id": key.text(), "method": "POST", "url": "/v1/chat/completions", "body": request});
    format!("{line}\n")
}

/// What a line of a result or error file says.
#[derive(Debug)]
pub(super) enum Result {
    /// The reply to a request.
    Reply { key: Key, body: Value },
    /// Why a request has no reply, and the answer that says so.
    Error { key: Key, failure: Failure, body: Value },
    /// Somebody else's.
    Other,
}

impl Result {
    /// Reads a line as leniently as servers write it.
    pub(super) fn read(line: &Value) -> Self {
        let Some(key) = line["custom_id"].as_str().and_then(Key::read) else { return Self::Other };
        let response = &line["response"];
        let status = number(&response["status_code"]);
        let body = match &response["body"] {
            Value::String(text) => json::read(text.as_bytes()).map(|read| read.value).unwrap_or_default(),
            other => other.clone(),
        };
        if status.is_none_or(|status| (200..300).contains(&status)) && body.is_object() {
            return match Failure::in_reply(&body) {
                None => Self::Reply { key, body },
                Some(failure) => Self::Error { key, failure, body },
            };
        }
        // vLLM puts the whole of an error's body where others put the error.
        let error = &line["error"];
        let wrapped = if error["error"].is_object() { error.clone() } else { json!({"error": error}) };
        let mut body = if body.is_object() { body } else { wrapped };
        if let (Some(status), Some(fields)) = (status, body.as_object_mut()) {
            // As a line of the journal it has no status but what it says itself.
            fields.insert("status".into(), status.into());
        }
        let failure = Failure::of_request(status, &body);
        Self::Error { key, failure, body }
    }

    /// The request of a line that cannot be read, where that much of it can be.
    pub(super) fn key(line: &[u8]) -> Option<Key> {
        let line = String::from_utf8_lossy(line);
        let rest = line.split_once("\"custom_id\"")?.1.trim_start().strip_prefix(':')?;
        Key::read(rest.trim_start().strip_prefix('"')?.split('"').next()?)
    }
}

fn number(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::client::Verdict;

    fn key() -> Key {
        Key::of(&json!({"a": 1}))
    }

    fn read(response: &Value, error: &Value) -> Result {
        Result::read(&json!({"id": "x", "custom_id": key().text(), "response": response, "error": error}))
    }

    /// What an error says, and what follows from it, now and when the journal is read.
    fn error(response: &Value, error: &Value) -> (String, Verdict) {
        let Result::Error { key, failure, body } = read(response, error) else { panic!("{response} {error}") };
        assert_eq!(key, self::key());
        assert_eq!(Failure::in_reply(&body).map(|failure| failure.verdict), Some(failure.verdict), "{body}");
        let text = failure.to_string();
        (text.split('\n').next().unwrap().to_owned(), failure.verdict)
    }

    #[test]
    fn a_reply_may_have_a_status_or_none() {
        let body = json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}});
        for response in [
            json!({"status_code": 200, "body": body}),
            json!({"status_code": "200", "body": body}),
            json!({"body": body}),
            json!({"status_code": 200, "body": body.to_string()}),
        ] {
            let Result::Reply { key, body: found } = read(&response, &Value::Null) else { panic!("{response}") };
            assert_eq!((key, &found), (self::key(), &body), "{response}");
        }
    }

    #[test]
    fn errors_are_read_by_their_codes() {
        let retry = Verdict::Retry(None);
        let none = Value::Null;
        let response = |status: u16, body: Value| json!({"status_code": status, "body": body});
        let said = |text: &str, verdict| (text.to_owned(), verdict);
        let bad = response(400, json!({"error": {"message": "bad"}}));
        assert_eq!(error(&bad, &none), said("the server answered 400 Bad Request: bad", Verdict::Run));
        let expired = json!({"code": "batch_expired", "message": "too late"});
        assert_eq!(error(&none, &expired), said("too late", retry));
        let busy = response(429, json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}}));
        assert_eq!(error(&busy, &none), said("the server answered 429 Too Many Requests: slow", retry));
        let long = response(400, json!({"error": {"message": "no", "code": "context_length_exceeded"}}));
        assert_eq!(error(&long, &none), said("the server answered 400 Bad Request: no", Verdict::Document));
        // vLLM's forms of an error of the engine's, and of any other.
        let wrapped = json!({"error": {"message": "too long", "type": "BadRequestError", "param": null, "code": 400}});
        let without_body = response(400, Value::Null);
        assert_eq!(error(&without_body, &wrapped), said("the server answered 400 Bad Request: too long", Verdict::Run));
        let text = json!("Request must not be sent in stream mode");
        let expected = "the server answered 400 Bad Request: Request must not be sent in stream mode";
        assert_eq!(error(&without_body, &text), said(expected, Verdict::Run));
        // An error that came as a success.
        let broken = response(200, json!({"choices": [{"error": {"code": "502", "message": "gone"}}]}));
        assert_eq!(error(&broken, &none), said("the server answered 502 Bad Gateway: gone", retry));
    }

    #[test]
    fn a_line_without_a_reason_is_none_of_the_documents() {
        let Result::Error { failure, .. } = read(&Value::Null, &Value::Null) else { panic!() };
        assert_eq!((failure.to_string(), failure.verdict), ("no reason given".into(), Verdict::Retry(None)));
    }

    #[test]
    fn lines_of_others_are_told_apart() {
        assert!(matches!(Result::read(&json!({"custom_id": "request-1", "response": null})), Result::Other));
        assert!(matches!(Result::read(&json!([1])), Result::Other));
    }

    #[test]
    fn the_key_of_a_broken_line_is_found() {
        let text = key().text();
        assert_eq!(Result::key(format!("{{\"id\": \"x\", \"custom_id\" : \"{text}\", \"resp").as_bytes()), Some(key()));
        for odd in [&b"{\"custom_id\": \"abc\""[..], b"{\"custom_id\"", b"\xff", b""] {
            assert_eq!(Result::key(odd), None);
        }
    }
}
