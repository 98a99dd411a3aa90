//! Lines of request and result files.

use std::fs::File;
use std::io::{BufReader, Seek as _};

use embtune_records::Lines;
use serde_json::{Value, json};

use crate::llm::failure::Failure;
use crate::llm::journal::Key;
use crate::llm::json;

/// A line of a result or error file.
#[derive(Debug)]
pub(super) enum ResultLine {
    /// The reply to a request.
    Reply { key: Key, body: Value },
    /// Why a request has no reply, and the answer that says so.
    Error { key: Key, failure: Failure, body: Value },
    /// The result of a request that is not ours.
    Foreign,
}

impl ResultLine {
    /// Reads a line as leniently as servers write it.
    pub(super) fn read(line: &Value) -> Self {
        let Some(key) = line["custom_id"].as_str().and_then(Key::read) else { return Self::Foreign };
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
        // vLLM puts the whole body of an error where others put the error.
        let error = &line["error"];
        let wrapped = if error["error"].is_object() { error.clone() } else { json!({"error": error}) };
        let mut body = if body.is_object() { body } else { wrapped };
        if let (Some(status), Some(fields)) = (status, body.as_object_mut()) {
            // In the journal, the body is all that is left of the line.
            fields.insert("status".into(), status.into());
        }
        let failure = Failure::of_batch_request(status, &body);
        Self::Error { key, failure, body }
    }

    /// The key in a line that cannot be read as a whole, if at least the key can be.
    pub(super) fn key_of_unreadable(line: &[u8]) -> Option<Key> {
        let line = String::from_utf8_lossy(line);
        let rest = line.split_once("\"custom_id\"")?.1.trim_start().strip_prefix(':')?;
        Key::read(rest.trim_start().strip_prefix('"')?.split('"').next()?)
    }
}

/// How much of a result file has arrived.
pub(super) struct Completeness {
    /// Lines that are JSON.
    pub(super) lines: u64,
    /// Whether the last line is not.
    pub(super) is_cut_off: bool,
}

/// Checks a result file, which is at its beginning before and afterwards.
pub(super) fn completeness(name: &str, file: &mut File, max_line_bytes: usize) -> anyhow::Result<Completeness> {
    let mut found = Completeness { lines: 0, is_cut_off: false };
    let mut lines = Lines::new(name, BufReader::new(&mut *file), max_line_bytes);
    while let Some(line) = lines.next_bytes().transpose()? {
        if !line.bytes.trim_ascii().is_empty() {
            found.is_cut_off = !line.is_whole || json::read(line.bytes).is_none();
            found.lines += u64::from(!found.is_cut_off);
        }
    }
    file.rewind()?;
    Ok(found)
}

fn number(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::failure::Verdict;

    fn key() -> Key {
        Key::of(&json!({"a": 1}))
    }

    fn read(response: &Value, error: &Value) -> ResultLine {
        ResultLine::read(&json!({"id": "x", "custom_id": key().text(), "response": response, "error": error}))
    }

    /// The message and the verdict of an error, which must be the same when it is read from the journal.
    fn error(response: &Value, error: &Value) -> (String, Verdict) {
        let ResultLine::Error { key, failure, body } = read(response, error) else { panic!("{response} {error}") };
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
            let ResultLine::Reply { key, body: found } = read(&response, &Value::Null) else { panic!("{response}") };
            assert_eq!((key, &found), (self::key(), &body), "{response}");
        }
    }

    #[test]
    fn errors_are_read_by_their_codes() {
        let retry = Verdict::Retry(None);
        let none = Value::Null;
        let response = |status: u16, body: Value| json!({"status_code": status, "body": body});
        let expected = |text: &str, verdict| (text.to_owned(), verdict);
        let bad = response(400, json!({"error": {"message": "bad"}}));
        assert_eq!(error(&bad, &none), expected("the server answered 400 Bad Request: bad", Verdict::Fatal));
        let expired = json!({"code": "batch_expired", "message": "too late"});
        assert_eq!(error(&none, &expired), expected("too late", retry));
        let busy = response(429, json!({"error": {"message": "slow", "code": "rate_limit_exceeded"}}));
        assert_eq!(error(&busy, &none), expected("the server answered 429 Too Many Requests: slow", retry));
        let long = response(400, json!({"error": {"message": "no", "code": "context_length_exceeded"}}));
        assert_eq!(error(&long, &none), expected("the server answered 400 Bad Request: no", Verdict::Request));
        // vLLM's forms of errors of the engine, and of others.
        let wrapped = json!({"error": {"message": "too long", "type": "BadRequestError", "param": null, "code": 400}});
        let without_body = response(400, Value::Null);
        assert_eq!(
            error(&without_body, &wrapped),
            expected("the server answered 400 Bad Request: too long", Verdict::Fatal)
        );
        let text = json!("Request must not be sent in stream mode");
        let message = "the server answered 400 Bad Request: Request must not be sent in stream mode";
        assert_eq!(error(&without_body, &text), expected(message, Verdict::Fatal));
        // An error with a success status.
        let broken = response(200, json!({"choices": [{"error": {"code": "502", "message": "gone"}}]}));
        assert_eq!(error(&broken, &none), expected("the server answered 502 Bad Gateway: gone", retry));
    }

    #[test]
    fn an_error_without_a_reason_is_transient() {
        let ResultLine::Error { failure, .. } = read(&Value::Null, &Value::Null) else { panic!() };
        assert_eq!((failure.to_string(), failure.verdict), ("no reason given".into(), Verdict::Retry(None)));
    }

    #[test]
    fn foreign_lines_are_recognised() {
        assert!(matches!(ResultLine::read(&json!({"custom_id": "request-1", "response": null})), ResultLine::Foreign));
        assert!(matches!(ResultLine::read(&json!([1])), ResultLine::Foreign));
    }

    #[test]
    fn the_key_of_an_unreadable_line_is_found() {
        let line = format!("{{\"id\": \"x\", \"custom_id\" : \"{}\", \"resp", key().text());
        assert_eq!(ResultLine::key_of_unreadable(line.as_bytes()), Some(key()));
        for odd in [&b"{\"custom_id\": \"abc\""[..], b"{\"custom_id\"", b"\xff", b""] {
            assert_eq!(ResultLine::key_of_unreadable(odd), None);
        }
    }
}
