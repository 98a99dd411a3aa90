//! The body of an error.
//!
//! OpenAI sends an object `error` with `message`, `type` and `code`. Servers that imitate it put the same elsewhere,
//! give the status as a string or by a name, and answer with status 200. All of that is read here.

use serde_json::Value;

use super::phrases;
use crate::llm::failure::FailureKind;
use crate::llm::json;
use crate::text::{has_phrase, has_word};

/// An error, as the server describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The message for people; empty if there is none.
    pub(super) message: String,
    /// Its codes and types, reduced to lower-case letters and digits: `ratelimitexceeded`.
    codes: Vec<String>,
    /// The HTTP status that one of the codes is.
    pub(super) status_number: Option<u16>,
    /// The HTTP status that any code or the message stands for.
    pub(super) status: Option<u16>,
    /// Whether it says what moderation found in the request.
    is_flagged: bool,
}

/// Places of an error in a body, the most specific first.
const PLACES: [&str; 6] = ["/error", "/errors/0", "/detail", "/base_resp", "/promptFeedback", ""];
/// Fields that hold a message, or an object with such fields.
const MESSAGES: [&str; 8] =
    ["message", "error", "detail", "msg", "error_msg", "error_message", "status_msg", "description"];
/// Fields that hold a code: a number, a number as a string, or a name.
const CODES: [&str; 9] =
    ["code", "status", "type", "status_code", "error_code", "error_type", "err_code", "reason", "blockReason"];

/// Names of statuses, as OpenAI, Anthropic, Google, vLLM and others write them, reduced to lower-case letters.
const STATUS_NAMES: [(u16, &str); 10] = [
    (400, "badrequest badrequesterror invalidrequest invalidrequesterror invalidargument"),
    (
        401,
        "unauthorized unauthenticated authentication authenticationerror invalidauthentication \
        invalidauthenticationerror invalidapikey incorrectapikey apikeyinvalid",
    ),
    (402, OUT_OF_CREDIT),
    (403, "forbidden permissiondenied permissionerror permissiondeniederror accessdenied"),
    (404, "notfound notfounderror modelnotfound"),
    (408, "timeout timeouterror requesttimeout deadlineexceeded"),
    (
        429,
        "ratelimit ratelimited ratelimiterror ratelimitexceeded ratelimitreached ratelimitreachederror \
        toomanyrequests resourceexhausted throttling throttlingexception engineoverloadederror",
    ),
    (500, "internal internalerror internalservererror servererror apierror"),
    (502, "badgateway upstreamerror providererror"),
    (503, "unavailable serviceunavailable serviceunavailableerror overloaded overloadederror busy"),
];

/// Codes of accounts that cannot pay.
const OUT_OF_CREDIT: &str = "insufficientquota insufficientbalance insufficientcredits exceededcurrentquotaerror \
    billinghardlimitreached billingnotactive paymentrequired arrearage";

impl ErrorBody {
    /// Reads the body of an answer that is an error.
    pub(super) fn read(body: &Value) -> Self {
        let body = unwrapped(body);
        let places: Vec<&Value> = PLACES.iter().filter_map(|place| body.pointer(place)).collect();
        let message = places.iter().find_map(|place| message(place)).unwrap_or_default();
        let error = &body["error"];
        let inner = [&error["innererror"], &error["details"][0], &error["error"]];
        let given: Vec<&Value> =
            places.into_iter().chain(inner).flat_map(|place| CODES.iter().map(move |code| &place[code])).collect();
        let status_number = given.iter().find_map(|code| status_of_number(code));
        let codes: Vec<String> = given.into_iter().filter_map(reduced).collect();
        let status = status_number
            .or_else(|| codes.iter().find_map(|code| status_of_name(code)))
            .or_else(|| status_of_name(&reduced(&message.as_str().into())?));
        let is_flagged = ["reasons", "flagged_input"].iter().any(|field| !error["metadata"][field].is_null());
        let upstream = upstream_message(&error["metadata"]["raw"]);
        let message = [message, upstream.unwrap_or_default()].join(" ").trim().to_owned();
        Self { message, codes, status_number, status, is_flagged }
    }

    /// Whether the account cannot pay.
    pub(super) fn is_out_of_credit(&self) -> bool {
        self.codes.iter().any(|code| has_word(OUT_OF_CREDIT, code)) || has_phrase(phrases::OUT_OF_CREDIT, &self.message)
    }

    /// The fault of the request that the server refused with this status; none if other requests would fare no
    /// better.
    pub(super) fn kind(&self, status: u16) -> Option<FailureKind> {
        // Problems of the account, and transient ones, are described in similar words, so the status must fit.
        let is_about_request = matches!(status, 400 | 413 | 422);
        if matches!(status, 401 | 402 | 404 | 407) {
            return None;
        }
        if self.is_flagged
            || self.codes.iter().any(|code| has_word(phrases::MODERATION_CODES, code))
            || ((is_about_request || matches!(status, 403 | 424 | 446 | 451)) && phrases::is_moderation(&self.message))
        {
            return Some(FailureKind::Moderated);
        }
        let is_too_long = status == 413
            || self.codes.iter().any(|code| has_word(phrases::LENGTH_CODES, code))
            || ((is_about_request || status == 500) && phrases::is_length(&self.message))
            || (status == 429 && has_phrase(phrases::LENGTH_BEYOND_RATE, &self.message));
        is_too_long.then_some(FailureKind::TooLong)
    }
}

/// The body of an error, which Google wraps in a list of one.
pub(super) fn unwrapped(body: &Value) -> &Value {
    if body.is_array() { &body[0] } else { body }
}

/// Whether the value of a field such as `error` reports one: null, false, an empty text and a code of 0 do not.
pub(super) fn is_error(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::String(text) => !text.trim().is_empty(),
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::Array(items) => items.iter().any(is_error),
        Value::Object(fields) => ["code", "status_code", "message", "status_msg", "type", "error"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .any(|field| {
                is_error(field) && reduced(field).is_none_or(|text| !matches!(&*text, "0" | "ok" | "success"))
            }),
    }
}

/// The message of an error: a text, or the text of an object's field.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        // FastAPI's list of errors.
        Value::Array(items) => items.iter().find_map(message),
        Value::Object(fields) => MESSAGES.iter().filter_map(|name| fields.get(*name)).find_map(message),
        _ => None,
    }
}

/// The message of the server behind a router, which comes as JSON in a string.
fn upstream_message(raw: &Value) -> Option<String> {
    let text = raw.as_str()?;
    match json::read(text.as_bytes()) {
        Some(read) if read.value.is_object() => Some(ErrorBody::read(&read.value).message),
        _ => Some(text.to_owned()),
    }
}

fn status_of_number(code: &Value) -> Option<u16> {
    let number = match code {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status))
}

fn status_of_name(code: &str) -> Option<u16> {
    STATUS_NAMES.iter().find(|(_, names)| has_word(names, code)).map(|(status, _)| *status)
}

/// A code, reduced to lower-case letters and digits.
fn reduced(code: &Value) -> Option<String> {
    let text = match code {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let text: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_found_in_many_places() {
        for body in [
            json!({"error": {"message": "too busy"}}),
            json!({"error": "too busy"}),
            json!({"object": "error", "message": "too busy"}),
            json!({"detail": "too busy"}),
            json!({"detail": [{"loc": ["body"], "msg": "too busy"}]}),
            json!({"detail": {"error": {"message": "too busy"}}}),
            json!([{"error": {"code": 503, "message": "too busy", "status": "UNAVAILABLE"}}]),
            json!({"success": false, "errors": [{"code": 7009, "message": "too busy"}]}),
            json!({"base_resp": {"status_code": 1000, "status_msg": "too busy"}}),
            json!({"error": {"message": {"error": "too busy"}}}),
            json!({"error": {"message": "too", "metadata": {"raw": "{\"error\": {\"message\": \"busy\"}}"}}}),
            json!({"error": {"message": "too", "metadata": {"raw": "busy"}}}),
        ] {
            assert_eq!(ErrorBody::read(&body).message, "too busy", "{body}");
        }
        for body in [json!({}), json!(null), json!([]), json!("text"), json!({"error": {"message": 3}})] {
            assert!(["", "text"].contains(&ErrorBody::read(&body).message.as_str()), "{body}");
        }
    }

    #[test]
    fn codes_are_numbers_strings_and_names() {
        let status = |body: Value| ErrorBody::read(&body).status;
        for (code, expected) in [
            (json!(429), Some(429)),
            (json!("401"), Some(401)),
            (json!(" 503 "), Some(503)),
            (json!("rate_limit_exceeded"), Some(429)),
            (json!("RESOURCE_EXHAUSTED"), Some(429)),
            (json!("ServiceUnavailableError"), Some(503)),
            (json!("invalid_api_key"), Some(401)),
            (json!("server_error"), Some(500)),
            (json!("insufficient_quota"), Some(402)),
            (json!(200), None),
            (json!(1), None),
            (json!("42P01"), None),
            (json!(-1), None),
            (json!(null), None),
        ] {
            assert_eq!(status(json!({"error": {"message": "m", "code": code}})), expected, "{code}");
            assert_eq!(status(json!({"error": {"message": "m", "type": code}})), expected, "{code}");
            assert_eq!(status(json!({"status": code, "message": "m"})), expected, "{code}");
        }
        let both = json!({"error": {"type": "invalid_request_error", "code": "429"}});
        assert_eq!(status(both), Some(429), "a number is more specific than a name");
        assert_eq!(status(json!({"error": "x", "status": 503})), Some(503));
        assert_eq!(status(json!({"error": "Rate limit exceeded"})), Some(429), "the message may be a code");
        assert_eq!(status(json!({"error": "Rate limit of the moment exceeded"})), None);
    }

    #[test]
    fn some_error_fields_report_none() {
        for none in [json!(null), json!(""), json!(false), json!({}), json!({"code": 0, "message": ""}), json!([])] {
            assert!(!is_error(&none), "{none}");
        }
        assert!(!is_error(&json!({"status_code": 0, "status_msg": "success"})));
        for some in [json!("x"), json!(true), json!({"code": 502}), json!({"message": "m"}), json!([{"message": "m"}])]
        {
            assert!(is_error(&some), "{some}");
        }
    }
}
