//! Answers that are errors: by their status, or by what they say under a status of success.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::failure::{Failure, Paid, Verdict};
use super::said::{self, Said};
use crate::llm::json;
use crate::llm::pace::retry_after;
use crate::llm::reply::{Reply, shown};

/// Finish reasons of replies that a fault of the server's ended: OpenRouter's, Zhipu's, DeepSeek's, vLLM's.
const BROKEN_OFF: [&str; 5] = ["error", "network_error", "insufficient_system_resource", "abort", "aborted"];

/// Fields of an error.
const NAMED: [&str; 3] = ["error", "errors", "base_resp"];

/// Fields of an error that has no field of that name, such as FastAPI's.
const UNNAMED: [&str; 6] = ["detail", "message", "msg", "error_msg", "error_code", "errorCode"];

const KEY_HINT: &str = "set OPENAI_API_KEY to a key of this server";

/// Whether one of these fields tells of an error.
fn is_error(body: &Value, names: &[&str]) -> bool {
    names.iter().any(|name| said::is_error(&body[name]))
}

/// Whether a body without choices is an error.
fn is_all_error(body: &Value) -> bool {
    is_error(body, &NAMED) || body["object"] == "error" || is_error(body, &UNNAMED)
}

impl Failure {
    /// An answer with an error status.
    pub(crate) fn of_status(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let value = json::read(body).map(|read| read.value).unwrap_or_default();
        let mut said = Said::read(&value);
        if said.words.is_empty() {
            said.words = without_tags(&String::from_utf8_lossy(body));
        }
        // Gateways wrap another server's error in a status of their own.
        let meant = match (status.as_u16(), said.number) {
            (400 | 500 | 502, Some(number @ (401..=403 | 408 | 429 | 500..))) => number,
            (status, _) => status,
        };
        Self::of_said((status, meant), retry_after(headers), &said)
    }

    /// The error of one request among many, with a status where one is given.
    pub(crate) fn of_request(status: Option<u16>, body: &Value) -> Self {
        let mut said = Said::read(body);
        if said.words.is_empty() {
            said.words = "no reason given".into();
        }
        let is_known = status.or(said.status).is_some();
        said.status = status.or(said.status);
        let failure = Self::under_success(&said);
        // What became of a batch has no status, and needs none that is made up.
        if is_known { failure } else { Self { what: shown(&said.words), ..failure } }
    }

    /// An answer that is something else than a chat completion: of another program, or not the whole of one.
    pub(super) fn no_completion(body: &str) -> Self {
        let is_cut_off = serde_json::from_str::<Value>(body).is_err_and(|error| error.is_eof());
        if is_cut_off {
            let shown = if body.trim().is_empty() { String::new() } else { format!(": {}", shown(body)) };
            return Self::new(format!("the server's answer broke off{shown}"), None, Verdict::Retry(None))
                .possibly_paid();
        }
        let hint = "does the address end in /v1 (--base-url)?";
        let what = format!("the server's answer is no chat completion: {}", shown(body));
        Self::new(what, Some(hint), Verdict::Document).possibly_paid()
    }

    /// An error that came under a status of success, as routers report what happened upstream; none in a reply.
    ///
    /// Where it stands in a choice, or beside one that is not complete, the reply broke off: what is there of it is no
    /// answer, and may have to be paid for.
    pub(crate) fn in_reply(body: &Value) -> Option<Self> {
        let body = said::unwrapped(body);
        let choice = &body["choices"][0];
        let finish = choice["finish_reason"].as_str().unwrap_or_default().to_lowercase();
        if choice.is_null() {
            // Google answers a prompt that it blocks with candidates, which are none, in place of choices.
            let is_blocked = !body["promptFeedback"]["blockReason"].is_null();
            if is_blocked || is_all_error(body) {
                return Some(Self::under_success(&Said::read(body)).paid_in(body));
            }
            // Null in place of a list is how some servers say that the model wrote nothing.
            let is_null = body.get("choices").is_some_and(Value::is_null);
            let is_counted = body["usage"].is_object() || body["object"] == "chat.completion";
            let is_reply = body["choices"].is_array() || (is_null && is_counted);
            return (!is_reply).then(|| Self::no_completion(&body.to_string()).paid_in(body));
        }
        let is_of_choice = said::is_error(&choice["error"]);
        if !is_of_choice && !BROKEN_OFF.contains(&finish.as_str()) && (!is_error(body, &NAMED) || finish == "stop") {
            return None;
        }
        let mut said = Said::read(if is_of_choice { choice } else { body });
        if said.words.is_empty() {
            said.words = format!("the reply broke off (finish reason: {finish})");
        }
        Some(Self::under_success(&said).possibly_paid().paid_in(body))
    }

    /// An error that came under a status of success in place of a file of results.
    pub(super) fn in_place_of_file(body: &Value) -> Option<Self> {
        let body = said::unwrapped(body);
        let is_line = ["custom_id", "response"].iter().any(|name| body.get(name).is_some());
        (!is_line && is_all_error(body)).then(|| Self::under_success(&Said::read(body)))
    }

    fn under_success(said: &Said) -> Self {
        let status = said.status.and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or_else(|| match said.trouble(400) {
            Some(_) => StatusCode::BAD_REQUEST,
            None if said.is_about_key() => StatusCode::UNAUTHORIZED,
            None => StatusCode::BAD_GATEWAY,
        });
        Self::of_said((status, status.as_u16()), None, said)
    }

    /// The failure of a status, which the error may say to mean another one.
    fn of_said((status, meant): (StatusCode, u16), asked: Option<Duration>, said: &Said) -> Self {
        let words = if said.words.is_empty() { String::new() } else { format!(": {}", shown(&said.words)) };
        let what = format!("the server answered {status}{words}");
        if meant == 402 || said.is_out_of_credit() {
            let hint = Some("the account has no credit left: see the server's billing page");
            return Self::new(what, hint, Verdict::Run);
        }
        if let Some(trouble) = said.trouble(meant) {
            return Self { trouble, ..Self::new(what, trouble.hint(), Verdict::Document) };
        }
        let (verdict, hint) = match meant {
            408 | 409 | 425 | 429 | 500.. => (Verdict::Retry(asked), None),
            400 | 422 if words.contains("response_format") || words.contains("json_schema") => {
                (Verdict::Run, Some("try --reply-format json or text"))
            }
            401 => (Verdict::Run, Some(KEY_HINT)),
            400 | 403 if said.is_about_key() => (Verdict::Run, Some(KEY_HINT)),
            404 => (Verdict::Run, Some("is the name right (--llm), and does the address end in /v1 (--base-url)?")),
            _ => (Verdict::Run, None),
        };
        let is_refusal = matches!(verdict, Verdict::Retry(_)) && matches!(meant, 429 | 503 | 529);
        let is_rejection = verdict == Verdict::Run && matches!(meant, 400 | 422) && !said.is_about_key();
        let is_gone = matches!(meant, 404 | 410) || (meant == 400 && says_gone(&words));
        Self { is_refusal, is_rejection, is_gone, ..Self::new(what, hint, verdict) }
    }

    /// The same with what the answer says that it took.
    fn paid_in(self, body: &Value) -> Self {
        let paid = Reply::read(body).usage.map(|tokens| Box::new(Paid { tokens, body: body.clone() }));
        Self { paid, ..self }
    }
}

/// Whether these words say that a file or a batch is not there any more.
fn says_gone(words: &str) -> bool {
    let words = words.to_lowercase();
    ["no such file", "no such batch", "not found", "does not exist", "expired", "deleted"]
        .iter()
        .any(|phrase| words.contains(phrase))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::llm::budget::Tokens;
    use crate::llm::trouble::Trouble;

    fn verdict(status: u16, body: &str) -> Verdict {
        Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).verdict
    }

    #[test]
    fn what_may_pass_is_retried() {
        for status in [408, 409, 425, 429, 500, 502, 503, 529] {
            assert_eq!(verdict(status, "<html>busy</html>"), Verdict::Retry(None), "{status}");
        }
        for status in [400, 401, 402, 403, 404, 422] {
            assert_eq!(verdict(status, r#"{"error": {"message": "no", "code": 400}}"#), Verdict::Run, "{status}");
        }
        assert_eq!(verdict(429, r#"{"error": {"code": "insufficient_quota"}}"#), Verdict::Run);
        assert_eq!(verdict(429, r#"{"error": {"type": "insufficient_quota", "code": null}}"#), Verdict::Run);
        // A gateway's status, with the error of the server behind it.
        assert_eq!(verdict(400, r#"{"error": {"code": "429", "message": "slow"}}"#), Verdict::Retry(None));
        assert_eq!(verdict(500, r#"{"error": {"code": "401", "message": "bad key"}}"#), Verdict::Run);
        assert_eq!(verdict(500, r#"{"error": {"code": 400, "message": "odd"}}"#), Verdict::Retry(None));
        assert_eq!(verdict(400, r#"{"error": {"message": "Your credit balance is too low"}}"#), Verdict::Run);
    }

    #[test]
    fn one_documents_trouble_is_one_documents() {
        let trouble = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            let failure = Failure::of_status(status, &HeaderMap::new(), body.as_bytes());
            (failure.verdict == Verdict::Document).then_some(failure.trouble)
        };
        let too_long = Some(Trouble::TooLong);
        assert_eq!(trouble(400, r#"{"error": {"type": "exceed_context_size_error", "code": 400}}"#), too_long);
        assert_eq!(trouble(400, r#"{"message": "the maximum context length is 8"}"#), too_long);
        assert_eq!(
            trouble(500, r#"{"error": {"message": "the request exceeds the available context size"}}"#),
            too_long
        );
        assert_eq!(trouble(422, r#"{"error": "`inputs` tokens + `max_new_tokens` must be <= 4096"}"#), too_long);
        assert_eq!(trouble(413, "<html>Request Entity Too Large</html>"), too_long);
        assert_eq!(trouble(429, r#"{"error": {"message": "Request too large for m on tokens per min"}}"#), too_long);
        assert_eq!(trouble(429, r#"{"error": {"message": "Too many tokens, please wait"}}"#), None);
        let raw = r#"{"error": {"message": "Provider returned error", "metadata": {"raw":
            "{\"error\": {\"message\": \"prompt is too long: 9 tokens > 8 maximum\"}}"}}}"#;
        assert_eq!(trouble(400, raw), too_long);

        let moderated = Some(Trouble::Moderated);
        let flagged = r#"{"error": {"code": 403, "message": "no", "metadata": {"reasons": ["violence"]}}}"#;
        assert_eq!(trouble(403, flagged), moderated);
        assert_eq!(trouble(403, r#"{"error": "Content violates usage guidelines."}"#), moderated);
        assert_eq!(trouble(400, r#"{"error": {"code": "data_inspection_failed", "message": "x"}}"#), moderated);
        assert_eq!(trouble(400, r#"{"code": "DataInspectionFailed", "message": "x"}"#), moderated);
        let azure = r#"{"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}"#;
        assert_eq!(trouble(400, azure), moderated);
        assert_eq!(trouble(400, r#"{"error": {"message": "Content Exists Risk"}}"#), moderated);
        assert_eq!(trouble(422, r#"{"detail": [{"msg": "blocked by the content policy"}]}"#), moderated);
        // An account's trouble is everybody's.
        for body in [r#"{"error": {"message": "Your account was flagged"}}"#, r#"{"error": {"message": "no key"}}"#, ""]
        {
            assert_eq!((trouble(403, body), verdict(403, body)), (None, Verdict::Run), "{body}");
        }
        assert_eq!(trouble(401, flagged), None);
    }

    #[test]
    fn errors_under_status_200_are_what_they_are() {
        let verdict = |body: &Value| Failure::in_reply(body).map(|failure| failure.verdict);
        let retry = Some(Verdict::Retry(None));
        let (document, run) = (Some(Verdict::Document), Some(Verdict::Run));
        let partial = json!({"role": "assistant", "content": "{\"queries\": [\"a\", \"b"});
        for (body, expected) in [
            (json!({"error": {"code": 429, "message": "slow"}}), retry),
            (json!({"error": {"code": "401", "message": "bad key"}}), run),
            (json!({"error": "upstream"}), retry),
            (json!({"error": "Incorrect API key provided"}), run),
            (json!({"choices": [], "error": {"code": 429}}), retry),
            (json!({"choices": null, "error": {"type": "rate_limit_exceeded"}}), retry),
            (json!({"choices": [], "error": {"code": "insufficient_quota"}}), run),
            (json!({"object": "error", "message": "m", "code": 40303}), retry),
            (json!({"object": "error", "message": "the maximum context length is 8", "code": 400}), document),
            (json!({"error": "Trying to keep the first 9 tokens, more than the context length"}), document),
            (json!({"detail": "busy", "status": "503"}), retry),
            (json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}), document),
            (
                json!({"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}, "choices": null}),
                document,
            ),
            (json!({}), document),
            (json!([]), document),
            (json!([{"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}]), retry),
            (json!({"choices": [{"error": {"code": 502, "message": "gone"}, "message": partial}]}), retry),
            (json!({"choices": [{"finish_reason": "error", "message": partial}]}), retry),
            (json!({"choices": [{"finish_reason": null, "message": partial}], "error": {"code": 504}}), retry),
            (json!({"choices": [{"finish_reason": "error", "error": {"code": 403, "message": "flagged"}}]}), document),
            (json!({"choices": []}), None),
            (json!({"choices": [], "error": null, "detail": ""}), None),
            (json!({"choices": [{"finish_reason": "stop", "message": partial}], "error": {"code": 0}}), None),
            (json!({"choices": [{"finish_reason": "length", "message": partial, "error": null}]}), None),
        ] {
            assert_eq!(verdict(&body), expected, "{body}");
        }
    }

    #[test]
    fn what_an_error_has_cost_is_known() {
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 2});
        let broken =
            |usage: &Value| Failure::in_reply(&json!({"choices": [{"error": {"code": 502}}], "usage": usage})).unwrap();
        assert_eq!(broken(&usage).paid.unwrap().tokens, Tokens { input: 5, output: 2 });
        let unknown = broken(&Value::Null);
        assert!(unknown.paid.is_none() && unknown.may_cost);
        assert!(!Failure::in_reply(&json!({"error": {"code": 429}})).unwrap().may_cost);
    }

    #[test]
    fn what_is_taken_of_others_is_the_documents_trouble() {
        let failure = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            Failure::of_status(status, &HeaderMap::new(), body.as_bytes()).beside_others()
        };
        let odd = failure(400, r#"{"error": {"message": "cannot be processed"}}"#);
        assert_eq!((odd.verdict, odd.trouble), (Verdict::Document, Trouble::Rejected));
        assert_eq!(failure(400, r#"{"error": {"message": "prompt is too long"}}"#).trouble, Trouble::TooLong);
        for (status, body) in [(401, ""), (403, ""), (404, ""), (400, "API key not valid"), (402, "")] {
            assert_eq!(failure(status, body).verdict, Verdict::Run, "{status} {body}");
        }
        assert_eq!(failure(429, "").verdict, Verdict::Retry(None));
    }

    #[test]
    fn an_answer_that_broke_off_is_told_from_another() {
        let verdict = |body: &str| Failure::no_completion(body).verdict;
        for cut in ["", " \n", "{\"choices\": [{\"mess", "[", "{\"a\": \"\\u00"] {
            assert_eq!(verdict(cut), Verdict::Retry(None), "{cut}");
        }
        for other in ["<html>Welcome</html>", "{}", "OK", "{\"a\": 1} x"] {
            assert_eq!(verdict(other), Verdict::Document, "{other}");
        }
    }

    #[test]
    fn what_is_gone_is_told() {
        let is_gone = |status: u16, body: &str| {
            Failure::of_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes()).is_gone
        };
        assert!(is_gone(404, "") && is_gone(410, ""));
        assert!(is_gone(400, r#"{"error": {"message": "No such File object: file-1"}}"#));
        assert!(!is_gone(400, r#"{"error": {"message": "bad"}}"#) && !is_gone(500, "not found"));
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
}
