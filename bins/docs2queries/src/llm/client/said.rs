//! What a server says of an error.
//!
//! OpenAI's form is an object `error` with `message`, `type` and `code`. Those who imitate it put the same in other
//! places, give the status as a text, or a word for it, and answer with status 200. All of that is read here.

use serde_json::Value;

use super::blame;
use crate::llm::json;
use crate::llm::trouble::Trouble;

/// An error, in the server's own words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What it says to people; empty when it says nothing.
    pub(super) words: String,
    /// Its codes and types, in small letters and digits alone: `ratelimitexceeded`.
    codes: Vec<String>,
    /// The HTTP status that a code is, and the one that any code or the words stand for.
    pub(super) number: Option<u16>,
    pub(super) status: Option<u16>,
    /// Whether it says what moderation found in the request.
    is_flagged: bool,
}

/// Where an error may stand in a body, from the most telling place on.
const PLACES: [&str; 6] = ["/error", "/errors/0", "/detail", "/base_resp", "/promptFeedback", ""];
/// Fields that hold words, or an object with such fields.
const WORDS: [&str; 8] =
    ["message", "error", "detail", "msg", "error_msg", "error_message", "status_msg", "description"];
/// Fields that hold a code: a number, the same as a text, or a word.
const CODES: [&str; 9] =
    ["code", "status", "type", "status_code", "error_code", "error_type", "err_code", "reason", "blockReason"];

/// Words for a status, as OpenAI, Anthropic, Google, vLLM and others write them, in small letters alone.
const STATUSES: [(u16, &[&str]); 10] = [
    (400, &["badrequest", "badrequesterror", "invalidrequest", "invalidrequesterror", "invalidargument"]),
    (
        401,
        &[
            "unauthorized",
            "unauthenticated",
            "authentication",
            "authenticationerror",
            "invalidauthentication",
            "invalidauthenticationerror",
            "invalidapikey",
            "incorrectapikey",
            "apikeyinvalid",
        ],
    ),
    (402, &OUT_OF_CREDIT),
    (403, &["forbidden", "permissiondenied", "permissionerror", "permissiondeniederror", "accessdenied"]),
    (404, &["notfound", "notfounderror", "modelnotfound"]),
    (408, &["timeout", "timeouterror", "requesttimeout", "deadlineexceeded"]),
    (
        429,
        &[
            "ratelimit",
            "ratelimited",
            "ratelimiterror",
            "ratelimitexceeded",
            "ratelimitreached",
            "ratelimitreachederror",
            "toomanyrequests",
            "resourceexhausted",
            "throttling",
            "throttlingexception",
            "engineoverloadederror",
        ],
    ),
    (500, &["internal", "internalerror", "internalservererror", "servererror", "apierror"]),
    (502, &["badgateway", "upstreamerror", "providererror"]),
    (503, &["unavailable", "serviceunavailable", "serviceunavailableerror", "overloaded", "overloadederror", "busy"]),
];

/// Codes of accounts that cannot pay.
const OUT_OF_CREDIT: [&str; 8] = [
    "insufficientquota",
    "insufficientbalance",
    "insufficientcredits",
    "exceededcurrentquotaerror",
    "billinghardlimitreached",
    "billingnotactive",
    "paymentrequired",
    "arrearage",
];

impl Said {
    /// Reads the body of an answer that is an error.
    pub(super) fn read(body: &Value) -> Self {
        let body = unwrapped(body);
        let places: Vec<&Value> = PLACES.iter().filter_map(|place| body.pointer(place)).collect();
        let words = places.iter().find_map(|place| words(place)).unwrap_or_default();
        let error = &body["error"];
        let inner = [&error["innererror"], &error["details"][0], &error["error"]];
        let given: Vec<&Value> =
            places.into_iter().chain(inner).flat_map(|place| CODES.iter().map(move |code| &place[code])).collect();
        let number = given.iter().find_map(|code| status_of_number(code));
        let codes: Vec<String> = given.into_iter().filter_map(plain).collect();
        let status = number
            .or_else(|| codes.iter().find_map(|code| status_of_word(code)))
            .or_else(|| status_of_word(&plain(&words.as_str().into())?));
        let is_flagged = ["reasons", "flagged_input"].iter().any(|field| !error["metadata"][field].is_null());
        let upstream = upstream(&error["metadata"]["raw"]);
        let words = [words, upstream.unwrap_or_default()].join(" ").trim().to_owned();
        Self { words, codes, number, status, is_flagged }
    }

    /// Whether the account cannot pay.
    pub(super) fn is_out_of_credit(&self) -> bool {
        self.codes.iter().any(|code| OUT_OF_CREDIT.contains(&code.as_str())) || blame::is_out_of_credit(&self.words)
    }

    /// Whether it is about the key.
    pub(super) fn is_about_key(&self) -> bool {
        blame::is_about_key(&self.words)
    }

    /// What about the document made the server refuse it with this status; none where others would fare no better.
    pub(super) fn trouble(&self, status: u16) -> Option<Trouble> {
        // The account's troubles, and those that pass, are told in words like those about a document.
        let is_of_request = matches!(status, 400 | 413 | 422);
        if matches!(status, 401 | 402 | 404 | 407) {
            return None;
        }
        if self.is_flagged
            || self.codes.iter().any(|code| blame::is_moderation_code(code))
            || ((is_of_request || matches!(status, 403 | 424 | 446 | 451)) && blame::is_moderation(&self.words))
        {
            return Some(Trouble::Moderated);
        }
        let is_too_long = status == 413
            || self.codes.iter().any(|code| blame::is_length_code(code))
            || ((is_of_request || status == 500) && blame::is_length(&self.words))
            || (status == 429 && blame::is_length_beyond_rate(&self.words));
        is_too_long.then_some(Trouble::TooLong)
    }
}

/// The body of an error, which Google wraps in a list of one.
pub(super) fn unwrapped(body: &Value) -> &Value {
    if body.is_array() { &body[0] } else { body }
}

/// Whether a field named `error` and the like says that there is one: null, false, nothing and a code of 0 do not.
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
            .any(|field| is_error(field) && plain(field).is_none_or(|text| !matches!(&*text, "0" | "ok" | "success"))),
    }
}

/// The words of an error: a text, or the text of an object's field.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        // FastAPI's list of what is wrong.
        Value::Array(items) => items.iter().find_map(words),
        Value::Object(fields) => WORDS.iter().filter_map(|name| fields.get(*name)).find_map(words),
        _ => None,
    }
}

/// What the server behind a router said, which comes as a text of JSON.
fn upstream(raw: &Value) -> Option<String> {
    let text = raw.as_str()?;
    match json::read(text.as_bytes()) {
        Some(read) if read.value.is_object() => Some(Said::read(&read.value).words),
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

fn status_of_word(code: &str) -> Option<u16> {
    STATUSES.iter().find(|(_, words)| words.contains(&code)).map(|(status, _)| *status)
}

/// A code in small letters and digits alone.
fn plain(code: &Value) -> Option<String> {
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
    fn words_stand_in_many_places() {
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
            assert_eq!(Said::read(&body).words, "too busy", "{body}");
        }
        for body in [json!({}), json!(null), json!([]), json!("text"), json!({"error": {"message": 3}})] {
            assert!(["", "text"].contains(&Said::read(&body).words.as_str()), "{body}");
        }
    }

    #[test]
    fn codes_are_numbers_texts_and_words() {
        let status = |body: Value| Said::read(&body).status;
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
        assert_eq!(status(both), Some(429), "a number says more than a word");
        assert_eq!(status(json!({"error": "x", "status": 503})), Some(503));
        assert_eq!(status(json!({"error": "Rate limit exceeded"})), Some(429), "the words may be a code's");
        assert_eq!(status(json!({"error": "Rate limit of the moment exceeded"})), None);
    }

    #[test]
    fn some_fields_named_error_tell_of_none() {
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
