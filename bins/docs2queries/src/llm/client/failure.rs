//! What went wrong with a request, and what follows from it.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::Secrets;
use crate::llm::pace::retry_after;
use crate::llm::reply::shown;

/// A request that brought no reply.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub(crate) struct Failure {
    what: String,
    hint: Option<&'static str>,
    /// What to do about it.
    pub(crate) verdict: Verdict,
    /// Whether the server has too much to do, so that others had better wait too.
    pub(crate) is_refusal: bool,
    /// Whether the server may have done the work, and may charge for it.
    pub(crate) may_cost: bool,
}

/// What to do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass: ask again, after this pause when the server named one. If it does not, others can be asked about.
    Retry(Option<Duration>),
    /// The server went away: ask again. If it stays away, no request will succeed.
    Reconnect,
    /// This document cannot be asked about; others can.
    Document,
    /// No request will succeed.
    Run,
    /// A cap on money or tokens leaves no room for it.
    Cap,
    /// The run is ending, for a reason of its own.
    Stopped,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, hint: Option<&'static str>, verdict: Verdict) -> Self {
        Self { what: what.into(), hint, verdict, is_refusal: false, may_cost: false }
    }

    /// An answer with an error status.
    pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body = String::from_utf8_lossy(body);
        let value: Value = serde_json::from_str(&body).unwrap_or_default();
        let words = words(&value).unwrap_or_else(|| without_tags(&body));
        let words = if words.is_empty() { String::new() } else { format!(": {}", shown(&words)) };
        let (verdict, hint) = match status.as_u16() {
            _ if has_code(&value, &["insufficient_quota"]) => {
                (Verdict::Run, Some("the account has no credit left: see the server's billing page"))
            }
            408 | 409 | 429 | 500.. => (Verdict::Retry(retry_after(headers)), None),
            400 if concerns_document(&value, &words) => (Verdict::Document, None),
            400 | 422 if words.contains("response_format") || words.contains("json_schema") => {
                (Verdict::Run, Some("try --reply-format json or text"))
            }
            413 => (Verdict::Document, None),
            401 => (Verdict::Run, Some("set OPENAI_API_KEY to a key of this server")),
            404 => (Verdict::Run, Some("is the name right (--llm), and does the address end in /v1 (--base-url)?")),
            _ => (Verdict::Run, None),
        };
        let is_refusal = matches!(verdict, Verdict::Retry(_)) && matches!(status.as_u16(), 429 | 503 | 529);
        Self { is_refusal, ..Self::new(format!("the server answered {status}{words}"), hint, verdict) }
    }

    /// The failure of a request that the server may have worked on.
    pub(super) fn possibly_paid(self) -> Self {
        Self { may_cost: true, ..self }
    }

    /// No answer, or not the whole of one; `reached` says whether the server has ever answered.
    pub(crate) fn of_transport(error: reqwest::Error, reached: bool) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            let hint = Some("raise --timeout-secs");
            return Self::new("the server did not answer in time", hint, Verdict::Retry(None)).possibly_paid();
        }
        let cause = root_cause(&error);
        if error.is_connect() {
            let hint = Some("is the server running, and is its address right (--base-url)?");
            let verdict = if reached { Verdict::Reconnect } else { Verdict::Run };
            return Self::new(format!("cannot connect to the server: {cause}"), hint, verdict);
        }
        let verdict = if error.is_builder() { Verdict::Run } else { Verdict::Retry(None) };
        Self::new(format!("the connection failed: {cause}"), None, verdict).possibly_paid()
    }

    /// The failure after which no further attempt is made.
    pub(crate) fn given_up(mut self, attempts: u32) -> Self {
        self.what = format!("{} (attempt {attempts}, the last)", self.what);
        self.verdict = if self.verdict == Verdict::Reconnect { Verdict::Run } else { Verdict::Document };
        self
    }

    /// The failure of a request that is not sent, or not again, because the run is ending.
    pub(crate) fn stopped() -> Self {
        Self::new("the run is ending", None, Verdict::Stopped)
    }

    /// The failure with secrets blotted out, which a server may have repeated.
    pub(crate) fn without(mut self, secrets: &Secrets) -> Self {
        self.what = secrets.blotted(&self.what);
        self
    }
}

/// The server's own words in an error body: OpenAI's form, and those of its imitators.
fn words(body: &Value) -> Option<String> {
    [&body["error"]["message"], &body["error"], &body["message"], &body["detail"]]
        .into_iter()
        .find_map(|value| value.as_str().map(str::to_owned))
}

/// Whether the error's code or type, which some servers give as a number, is one of these.
fn has_code(body: &Value, codes: &[&str]) -> bool {
    let error = if body["error"].is_object() { &body["error"] } else { body };
    [&error["code"], &error["type"]].iter().any(|value| value.as_str().is_some_and(|code| codes.contains(&code)))
}

/// Whether a request was refused for what the document says or how long it is, so that the next one may do.
fn concerns_document(body: &Value, words: &str) -> bool {
    let codes = ["context_length_exceeded", "exceed_context_size_error", "content_filter", "invalid_prompt"];
    has_code(body, &codes) || words.contains("maximum context length")
}

/// The text of an HTML page, which is what proxies answer.
fn without_tags(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split_inclusive('>') {
        text.push_str(piece.split('<').next().unwrap_or_default());
        text.push(' ');
    }
    crate::output::one_line(&text)
}

/// What is at the bottom of an error: the layers above it say only that they failed too.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str) -> Verdict {
        Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).verdict
    }

    #[test]
    fn what_may_pass_is_retried() {
        for status in [408, 409, 429, 500, 502, 503, 529] {
            assert_eq!(verdict(status, "<html>busy</html>"), Verdict::Retry(None), "{status}");
        }
        for status in [400, 401, 403, 404, 422] {
            assert_eq!(verdict(status, r#"{"error": {"message": "no", "code": 400}}"#), Verdict::Run, "{status}");
        }
        assert_eq!(verdict(429, r#"{"error": {"code": "insufficient_quota"}}"#), Verdict::Run);
        assert_eq!(verdict(429, r#"{"error": {"type": "insufficient_quota", "code": null}}"#), Verdict::Run);
        assert_eq!(verdict(400, r#"{"error": {"type": "exceed_context_size_error", "code": 400}}"#), Verdict::Document);
        assert_eq!(verdict(400, r#"{"message": "the maximum context length is 8"}"#), Verdict::Document);
    }

    #[test]
    fn the_servers_words_are_shown() {
        let message =
            |body: &str| Failure::of_status(StatusCode::BAD_GATEWAY, &HeaderMap::new(), body.as_bytes()).to_string();
        for body in [
            r#"{"error": {"message": "too  busy"}}"#,
            r#"{"error": "too busy"}"#,
            r#"{"detail": "too busy"}"#,
            "<html><p>too</p>busy",
            "too\nbusy",
        ] {
            assert_eq!(message(body), "the server answered 502 Bad Gateway: too busy", "{body}");
        }
        assert_eq!(message(""), "the server answered 502 Bad Gateway");
        assert!(message(&"x".repeat(9999)).chars().count() < 250);
    }

    #[test]
    fn a_repeated_key_is_blotted_out() {
        let failure = Failure::new("wrong key sk-12345", None, Verdict::Run);
        assert_eq!(failure.without(&Secrets::new(["sk-12345"])).to_string(), "wrong key [key]");
    }
}
