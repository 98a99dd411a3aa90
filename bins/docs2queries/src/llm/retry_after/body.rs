//! The pause that the body of a refusal asks for.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::time::{date, leading, seconds, until};

/// Fields with a pause: of Google's `RetryInfo`, of routers, and of Hugging Face while it loads a model.
const FIELDS: [&str; 5] = ["retryDelay", "retry_after", "retry_after_seconds", "retryAfter", "estimated_time"];
const MILLISECOND_FIELDS: [&str; 2] = ["retry_after_ms", "retryAfterMs"];
/// Headers of the upstream server that OpenRouter repeats in the body.
const RESETS: [&str; 2] = ["X-RateLimit-Reset", "x-ratelimit-reset"];

/// The words before a pause or a date in messages of OpenAI, Groq, Azure, GitHub, Google, Together and DashScope.
const PHRASES: &str = "try again in |try again after |retry in |retry after |retry again in |retrying in |\
    please wait for |please wait |available in |available again in |resets in |resets at ";

/// How deep fields are searched.
const MAX_DEPTH: usize = 6;

/// The pause that a body asks for, in a field or in prose.
pub(super) fn pause(body: &str, now: SystemTime) -> Option<Duration> {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    in_fields(&value, now, MAX_DEPTH).or_else(|| in_prose(body, now))
}

fn in_fields(value: &Value, now: SystemTime, depth: usize) -> Option<Duration> {
    let inner: Vec<&Value> = match value {
        Value::Object(fields) => {
            let here = |names: &[&str], scale: f64| {
                names.iter().find_map(|name| pause_of_field(fields.get(*name)?, scale, now))
            };
            let found = here(&FIELDS, 1.0).or_else(|| here(&MILLISECOND_FIELDS, 1e-3)).or_else(|| here(&RESETS, 1.0));
            if found.is_some() {
                return found;
            }
            fields.values().collect()
        }
        Value::Array(items) => items.iter().collect(),
        // Routers pass the upstream server's answer on as a string.
        Value::String(text) if text.starts_with(['{', '[']) && depth > 0 => {
            return in_fields(&serde_json::from_str(text).ok()?, now, depth - 1);
        }
        _ => return None,
    };
    inner.into_iter().filter(|_| depth > 0).find_map(|value| in_fields(value, now, depth - 1))
}

fn pause_of_field(value: &Value, scale: f64, now: SystemTime) -> Option<Duration> {
    match value {
        Value::Number(number) => seconds(number.as_f64()? * scale, now),
        Value::String(text) if scale == 1.0 => until(text, now),
        Value::String(text) => seconds(text.trim().parse::<f64>().ok()? * scale, now),
        // A protobuf duration.
        Value::Object(fields) => seconds(fields.get("seconds")?.as_f64()?, now),
        _ => None,
    }
}

fn in_prose(body: &str, now: SystemTime) -> Option<Duration> {
    let body = body.to_lowercase();
    PHRASES
        .split('|')
        .flat_map(|phrase| body.match_indices(phrase).map(|(at, phrase)| &body[at + phrase.len()..]))
        .find_map(|rest| {
            let rest = rest.strip_prefix("about ").unwrap_or(rest);
            // The year of a date would be taken for a number of seconds.
            let word = rest.split([' ', '"', '\\', ',']).next().unwrap_or_default().trim_end_matches('.');
            match date(&word.to_uppercase()) {
                Some(date) => Some(date.duration_since(now).ok()?),
                None => leading(rest).map(|(pause, _)| pause),
            }
        })
        .and_then(|pause| seconds(pause.as_secs_f64(), now))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Option<f64> {
        // 2026-11-30T16:00:00Z.
        pause(body, UNIX_EPOCH + Duration::from_secs(1_796_054_400)).map(|pause| pause.as_secs_f64())
    }

    #[test]
    fn a_pause_in_prose() {
        for (words, seconds) in [
            (
                "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com",
                20.0,
            ),
            ("Rate limit reached for model. Limit 6000, Used 5500, Requested 1000. Please try again in 4.999s.", 4.999),
            ("Limit 500000, Used 499900. Please try again in 7m12s. Need more tokens?", 432.0),
            ("Please try again in 6ms.", 0.006),
            ("Requests have exceeded the call rate limit. Please retry after 25 seconds.", 25.0),
            (
                "Rate limit of 50 per 86400s exceeded for UserByModelByDay. Please wait 40530 seconds before retrying.",
                40_530.0,
            ),
            ("* Quota exceeded for metric: requests, limit: 20\nPlease retry in 36.5s.", 36.5),
            ("Too many requests, try again in 2 minutes", 120.0),
            ("Try again in 1 hour and 5 minutes.", 3900.0),
            ("quota exhausted, retry after 2026-11-30T16:01:00Z please", 60.0),
            ("retry after 30", 30.0),
        ] {
            assert_eq!(read(words), Some(seconds), "{words}");
            let body = json!({"error": {"message": words, "code": 429}}).to_string();
            assert_eq!(read(&body), Some(seconds), "{body}");
        }
        for words in ["", "slow down", "try again later", "Please try again in a moment", "limit: 20 per 60s", "wait 5"]
        {
            assert_eq!(read(words), None, "{words}");
        }
    }

    #[test]
    fn a_pause_in_a_field() {
        let info = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "44s"});
        let error = json!({"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "x"}, info]});
        for (body, seconds) in [
            (json!([{"error": error}]), 44.0),
            (json!({"error": error}), 44.0),
            (json!({"retryDelay": {"seconds": 3, "nanos": 0}}), 3.0),
            (json!({"error": "Model is currently loading", "estimated_time": 20.5}), 20.5),
            (json!({"error": {"metadata": {"headers": {"X-RateLimit-Reset": "1796054460000"}}}}), 60.0),
            (json!({"error": {"metadata": {"raw": json!({"retry_after": 7}).to_string()}}}), 7.0),
            (json!({"retry_after_ms": 1500}), 1.5),
        ] {
            assert_eq!(read(&body.to_string()), Some(seconds), "{body}");
        }
        for body in [json!({"retry_after": -3}), json!({"retry_after": null}), json!({"retryDelay": "x"}), json!([])] {
            assert_eq!(read(&body.to_string()), None, "{body}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(read(&deep), None);
    }
}
