//! Answers that are errors, by their status or by their body: routers report errors with a success status.

mod error_body;
mod phrases;

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use error_body::ErrorBody;

use super::failure::{Failure, PaidError, Verdict};
use super::json;
use super::reply::{Reply, excerpt};
use super::retry_after::retry_after;
use crate::text::{has_phrase, one_line};

/// Finish reasons of replies that an error of the server ended: OpenRouter's, Zhipu's, DeepSeek's, vLLM's.
const BROKEN_OFF: [&str; 5] = ["error", "network_error", "insufficient_system_resource", "abort", "aborted"];

/// Fields that hold an error.
const ERROR_FIELDS: [&str; 3] = ["error", "errors", "base_resp"];

/// Fields of a body that is an error as a whole, such as FastAPI's.
const MESSAGE_FIELDS: [&str; 6] = ["detail", "message", "msg", "error_msg", "error_code", "errorCode"];

const KEY_HINT: &str = "set OPENAI_API_KEY to a key of this server";

/// Whether one of these fields reports an error.
fn has_error(body: &Value, fields: &[&str]) -> bool {
    fields.iter().any(|field| error_body::is_error(&body[field]))
}

/// Whether a body without choices is an error.
fn is_error(body: &Value) -> bool {
    has_error(body, &ERROR_FIELDS) || body["object"] == "error" || has_error(body, &MESSAGE_FIELDS)
}

impl Failure {
    /// An answer with an error status.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let value = json::read(body).map(|read| read.value).unwrap_or_default();
        let mut error = ErrorBody::read(&value);
        if error.message.is_empty() {
            error.message = without_tags(&String::from_utf8_lossy(body));
        }
        // Gateways wrap the upstream server's error in a status of their own.
        let actual = match (status.as_u16(), error.status_number) {
            (400 | 500 | 502, Some(number @ (401..=403 | 408 | 429 | 500..))) => number,
            (status, _) => status,
        };
        Self::of_error((status, actual), retry_after(headers), &error)
    }

    /// The error of one request of a batch, with its status if there is one.
    pub(super) fn of_batch_request(status: Option<u16>, body: &Value) -> Self {
        let mut error = ErrorBody::read(body);
        if error.message.is_empty() {
            error.message = "no reason given".into();
        }
        let is_known = status.or(error.status).is_some();
        error.status = status.or(error.status);
        let failure = Self::of_error_with_success_status(&error);
        // An error without a status is shown without the one that we chose.
        if is_known { failure } else { Self { message: excerpt(&error.message), ..failure } }
    }

    /// An answer that is not a chat completion, but that of another program, or only a part of one.
    pub(super) fn no_completion(body: &str) -> Self {
        let is_cut_off = serde_json::from_str::<Value>(body).is_err_and(|error| error.is_eof());
        if is_cut_off {
            let shown = if body.trim().is_empty() { String::new() } else { format!(": {}", excerpt(body)) };
            return Self::new(format!("the server's answer was cut off{shown}"), None, Verdict::Retry(None))
                .possibly_paid();
        }
        let hint = "does the address end in /v1 (--base-url)?";
        let message = format!("the server's answer is not a chat completion: {}", excerpt(body));
        Self::new(message, Some(hint), Verdict::Request).possibly_paid()
    }

    /// The error in a body that came with a success status, as routers report upstream errors; none if it is a reply.
    ///
    /// An error in a choice, or beside an incomplete one, means that the reply broke off: the part that arrived is not
    /// an answer, and may have been charged for.
    pub(super) fn in_reply(body: &Value) -> Option<Self> {
        let body = error_body::unwrapped(body);
        let choice = &body["choices"][0];
        let finish_reason = choice["finish_reason"].as_str().unwrap_or_default().to_lowercase();
        if choice.is_null() {
            // Google answers a prompt that it blocks with an empty list of candidates in place of choices.
            let is_blocked = !body["promptFeedback"]["blockReason"].is_null();
            if is_blocked || is_error(body) {
                return Some(Self::of_error_with_success_status(&ErrorBody::read(body)).with_cost_in(body));
            }
            // With null in place of the list, some servers say that the model wrote nothing.
            let is_null = body.get("choices").is_some_and(Value::is_null);
            let is_counted = body["usage"].is_object() || body["object"] == "chat.completion";
            let is_reply = body["choices"].is_array() || (is_null && is_counted);
            return (!is_reply).then(|| Self::no_completion(&body.to_string()).with_cost_in(body));
        }
        let is_in_choice = error_body::is_error(&choice["error"]);
        let is_beside_choice = has_error(body, &ERROR_FIELDS) && finish_reason != "stop";
        if !is_in_choice && !is_beside_choice && !BROKEN_OFF.contains(&finish_reason.as_str()) {
            return None;
        }
        let mut error = ErrorBody::read(if is_in_choice { choice } else { body });
        if error.message.is_empty() {
            error.message = format!("the reply broke off (finish reason: {finish_reason})");
        }
        Some(Self::of_error_with_success_status(&error).possibly_paid().with_cost_in(body))
    }

    /// The error that came with a success status in place of a result file.
    pub(super) fn in_place_of_file(body: &Value) -> Option<Self> {
        let body = error_body::unwrapped(body);
        let is_result = ["custom_id", "response"].iter().any(|name| body.get(name).is_some());
        (!is_result && is_error(body)).then(|| Self::of_error_with_success_status(&ErrorBody::read(body)))
    }

    fn of_error_with_success_status(error: &ErrorBody) -> Self {
        let status = error.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or_else(|| match error.kind(400) {
            Some(_) => StatusCode::BAD_REQUEST,
            None if has_phrase(phrases::KEY, &error.message) => StatusCode::UNAUTHORIZED,
            None => StatusCode::BAD_GATEWAY,
        });
        Self::of_error((status, status.as_u16()), None, error)
    }

    /// The failure of an error with a status, and with the actual status that its body names.
    fn of_error((status, actual): (StatusCode, u16), pause: Option<Duration>, error: &ErrorBody) -> Self {
        let text = if error.message.is_empty() { String::new() } else { format!(": {}", excerpt(&error.message)) };
        let message = format!("the server answered {status}{text}");
        if actual == 402 || error.is_out_of_credit() {
            let hint = Some("the account has no credit left: see the server's billing page");
            return Self::new(message, hint, Verdict::Fatal);
        }
        if let Some(kind) = error.kind(actual) {
            return Self { kind, ..Self::new(message, None, Verdict::Request) };
        }
        let (verdict, hint) = match actual {
            408 | 409 | 425 | 429 | 500.. => (Verdict::Retry(pause), None),
            400 | 422 if text.contains("response_format") || text.contains("json_schema") => {
                (Verdict::Fatal, Some("try --reply-format json or text"))
            }
            401 => (Verdict::Fatal, Some(KEY_HINT)),
            400 | 403 if has_phrase(phrases::KEY, &error.message) => (Verdict::Fatal, Some(KEY_HINT)),
            404 => (Verdict::Fatal, Some("is the name right (--llm), and does the address end in /v1 (--base-url)?")),
            _ => (Verdict::Fatal, None),
        };
        let is_overload = matches!(verdict, Verdict::Retry(_)) && matches!(actual, 429 | 503 | 529);
        let is_rejection =
            verdict == Verdict::Fatal && matches!(actual, 400 | 422) && !has_phrase(phrases::KEY, &error.message);
        let is_gone = matches!(actual, 404 | 410) || (actual == 400 && has_phrase(phrases::MISSING_FILE, &text));
        Self { is_overload, is_rejection, is_gone, ..Self::new(message, hint, verdict) }
    }

    /// The failure with the token counts of the answer, if it has any.
    fn with_cost_in(self, body: &Value) -> Self {
        let paid = Reply::read(body).usage.map(|tokens| Box::new(PaidError { tokens, body: body.clone() }));
        Self { paid, ..self }
    }
}

/// The text of an HTML page, which is how proxies answer.
fn without_tags(html: &str) -> String {
    let pieces: Vec<&str> = html.split_inclusive('>').filter_map(|piece| piece.split('<').next()).collect();
    one_line(&pieces.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::budget::Tokens;
    use crate::llm::failure::FailureKind;

    fn verdict(status: u16, body: &str) -> Verdict {
        Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).verdict
    }

    #[test]
    fn transient_errors_are_retried() {
        for status in [408, 409, 425, 429, 500, 502, 503, 529] {
            assert_eq!(verdict(status, "<html>busy</html>"), Verdict::Retry(None), "{status}");
        }
        for status in [400, 401, 402, 403, 404, 422] {
            assert_eq!(verdict(status, r#"{"error": {"message": "no", "code": 400}}"#), Verdict::Fatal, "{status}");
        }
        assert_eq!(verdict(429, r#"{"error": {"code": "insufficient_quota"}}"#), Verdict::Fatal);
        assert_eq!(verdict(429, r#"{"error": {"type": "insufficient_quota", "code": null}}"#), Verdict::Fatal);
        // A gateway's status, with the error of the upstream server.
        assert_eq!(verdict(400, r#"{"error": {"code": "429", "message": "slow"}}"#), Verdict::Retry(None));
        assert_eq!(verdict(500, r#"{"error": {"code": "401", "message": "bad key"}}"#), Verdict::Fatal);
        assert_eq!(verdict(500, r#"{"error": {"code": 400, "message": "odd"}}"#), Verdict::Retry(None));
        assert_eq!(verdict(400, r#"{"error": {"message": "Your credit balance is too low"}}"#), Verdict::Fatal);
    }

    #[test]
    fn some_failures_concern_one_request_only() {
        let kind = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = Failure::of_status(status, &HeaderMap::new(), body.as_bytes());
            (failure.verdict == Verdict::Request).then_some(failure.kind)
        };
        let too_long = Some(FailureKind::TooLong);
        assert_eq!(kind(400, r#"{"error": {"type": "exceed_context_size_error", "code": 400}}"#), too_long);
        assert_eq!(kind(400, r#"{"message": "the maximum context length is 8"}"#), too_long);
        assert_eq!(kind(500, r#"{"error": {"message": "the request exceeds the available context size"}}"#), too_long);
        assert_eq!(kind(422, r#"{"error": "`inputs` tokens + `max_new_tokens` must be <= 4096"}"#), too_long);
        assert_eq!(kind(413, "<html>Request Entity Too Large</html>"), too_long);
        assert_eq!(kind(429, r#"{"error": {"message": "Request too large for m on tokens per min"}}"#), too_long);
        assert_eq!(kind(429, r#"{"error": {"message": "Too many tokens, please wait"}}"#), None);
        let raw = r#"{"error": {"message": "Provider returned error", "metadata": {"raw":
            "{\"error\": {\"message\": \"prompt is too long: 9 tokens > 8 maximum\"}}"}}}"#;
        assert_eq!(kind(400, raw), too_long);

        let moderated = Some(FailureKind::Moderated);
        let flagged = r#"{"error": {"code": 403, "message": "no", "metadata": {"reasons": ["violence"]}}}"#;
        assert_eq!(kind(403, flagged), moderated);
        assert_eq!(kind(403, r#"{"error": "Content violates usage guidelines."}"#), moderated);
        assert_eq!(kind(400, r#"{"error": {"code": "data_inspection_failed", "message": "x"}}"#), moderated);
        assert_eq!(kind(400, r#"{"code": "DataInspectionFailed", "message": "x"}"#), moderated);
        let azure = r#"{"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}"#;
        assert_eq!(kind(400, azure), moderated);
        assert_eq!(kind(400, r#"{"error": {"message": "Content Exists Risk"}}"#), moderated);
        assert_eq!(kind(422, r#"{"detail": [{"msg": "blocked by the content policy"}]}"#), moderated);
        // A fault of the account affects all requests.
        for body in [r#"{"error": {"message": "Your account was flagged"}}"#, r#"{"error": {"message": "no key"}}"#, ""]
        {
            assert_eq!((kind(403, body), verdict(403, body)), (None, Verdict::Fatal), "{body}");
        }
        assert_eq!(kind(401, flagged), None);
    }

    #[test]
    fn errors_with_status_200_are_errors() {
        let verdict = |body: &Value| Failure::in_reply(body).map(|failure| failure.verdict);
        let retry = Some(Verdict::Retry(None));
        let (request, fatal) = (Some(Verdict::Request), Some(Verdict::Fatal));
        let partial = json!({"role": "assistant", "content": "{\"queries\": [\"a\", \"b"});
        for (body, expected) in [
            (json!({"error": {"code": 429, "message": "slow"}}), retry),
            (json!({"error": {"code": "401", "message": "bad key"}}), fatal),
            (json!({"error": "upstream"}), retry),
            (json!({"error": "Incorrect API key provided"}), fatal),
            (json!({"choices": [], "error": {"code": 429}}), retry),
            (json!({"choices": null, "error": {"type": "rate_limit_exceeded"}}), retry),
            (json!({"choices": [], "error": {"code": "insufficient_quota"}}), fatal),
            (json!({"object": "error", "message": "m", "code": 40303}), retry),
            (json!({"object": "error", "message": "the maximum context length is 8", "code": 400}), request),
            (json!({"error": "Trying to keep the first 9 tokens, more than the context length"}), request),
            (json!({"detail": "busy", "status": "503"}), retry),
            (json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}), request),
            (
                json!({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}, "choices": null}),
                request,
            ),
            (json!({}), request),
            (json!([]), request),
            (json!([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]), retry),
            (json!({"choices": [{"error": {"code": 502, "message": "gone"}, "message": partial}]}), retry),
            (json!({"choices": [{"finish_reason": "error", "message": partial}]}), retry),
            (json!({"choices": [{"finish_reason": null, "message": partial}], "error": {"code": 504}}), retry),
            (json!({"choices": [{"finish_reason": "error", "error": {"code": 403, "message": "flagged"}}]}), request),
            (json!({"choices": []}), None),
            (json!({"choices": [], "error": null, "detail": ""}), None),
            (json!({"choices": [{"finish_reason": "stop", "message": partial}], "error": {"code": 0}}), None),
            (json!({"choices": [{"finish_reason": "length", "message": partial, "error": null}]}), None),
        ] {
            assert_eq!(verdict(&body), expected, "{body}");
        }
    }

    #[test]
    fn the_cost_of_an_error_is_read_from_its_token_counts() {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2});
        let broken =
            |usage: &Value| Failure::in_reply(&json!({"choices": [{"error": {"code": 502}}], "usage": usage})).unwrap();
        assert_eq!(broken(&usage).paid.unwrap().tokens, Tokens { input: 5, output: 2 });
        let unknown = broken(&Value::Null);
        assert!(unknown.paid.is_none() && unknown.may_cost);
        assert!(!Failure::in_reply(&json!({"error": {"code": 429}})).unwrap().may_cost);
    }

    #[test]
    fn a_rejection_beside_accepted_requests_concerns_one_request() {
        let failure = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            Failure::of_status(status, &HeaderMap::new(), body.as_bytes()).beside_others()
        };
        let odd = failure(400, r#"{"error": {"message": "cannot be processed"}}"#);
        assert_eq!((odd.verdict, odd.kind), (Verdict::Request, FailureKind::Rejected));
        assert_eq!(failure(400, r#"{"error": {"message": "prompt is too long"}}"#).kind, FailureKind::TooLong);
        for (status, body) in [(401, ""), (403, ""), (404, ""), (400, "API key not valid"), (402, "")] {
            assert_eq!(failure(status, body).verdict, Verdict::Fatal, "{status} {body}");
        }
        assert_eq!(failure(429, "").verdict, Verdict::Retry(None));
    }

    #[test]
    fn an_answer_that_was_cut_off_is_told_from_another_programs() {
        let verdict = |body: &str| Failure::no_completion(body).verdict;
        for cut in ["", " \n", "{\"choices\": [{\"mess", "[", "{\"a\": \"\\u00"] {
            assert_eq!(verdict(cut), Verdict::Retry(None), "{cut}");
        }
        for other in ["<html>Welcome</html>", "{}", "OK", "{\"a\": 1} x"] {
            assert_eq!(verdict(other), Verdict::Request, "{other}");
        }
    }

    #[test]
    fn missing_files_are_recognised() {
        let is_gone = |status: u16, body: &str| {
            Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).is_gone
        };
        assert!(is_gone(404, "") && is_gone(410, ""));
        assert!(is_gone(400, r#"{"error": {"message": "No such File object: file-1"}}"#));
        assert!(!is_gone(400, r#"{"error": {"message": "bad"}}"#) && !is_gone(500, "not found"));
    }

    #[test]
    fn the_servers_message_is_shown() {
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
}
