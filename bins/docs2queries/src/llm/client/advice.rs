//! A server's advice on retrying a request.

use std::time::SystemTime;

use embtune_cli::format_duration;
use reqwest::header::HeaderMap;

use crate::llm::failure::{Failure, Verdict};
use crate::llm::retry::MAX_SERVER_PAUSE;
use crate::llm::retry_after::requested_pause;

/// The failure, with the verdict that the headers and the body of the answer ask for.
///
/// `x-should-retry` says whether to try again, as OpenAI's and Anthropic's own clients read it. A pause that is too
/// long ends the run, because nobody should keep a process running to wait for tomorrow's quota.
pub(super) fn apply(mut failure: Failure, headers: &HeaderMap, body: &str) -> Failure {
    let requested = requested_pause(headers, body);
    let should_retry = headers.get("x-should-retry").and_then(|value| value.to_str().ok()).map(str::trim);
    failure.verdict = match (failure.verdict, should_retry) {
        (Verdict::Retry(_), Some("false")) => Verdict::Request,
        (Verdict::Fatal | Verdict::Request, Some("true")) | (Verdict::Retry(_), _) => Verdict::Retry(requested),
        (other, _) => other,
    };
    match requested.filter(|pause| *pause > MAX_SERVER_PAUSE && matches!(failure.verdict, Verdict::Retry(_))) {
        None => failure,
        Some(pause) => {
            let wait = format_duration(pause.as_secs_f64());
            let end = SystemTime::now().checked_add(pause).map(httpdate::fmt_http_date).unwrap_or_default();
            let hint = "that is too long to wait; with --journal, the same command can continue from here later";
            let message = format!("{failure} (it asks for a pause of {wait}, until {end})");
            let Failure { may_cost, paid, .. } = failure;
            Failure { may_cost, paid, ..Failure::new(message, Some(hint), Verdict::Fatal) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;

    fn advised(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let failure = Failure::of_status(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
        apply(failure, &headers, body)
    }

    #[test]
    fn the_servers_advice_on_retries_is_followed() {
        let verdict = |status, word| advised(status, &[("x-should-retry", word), ("retry-after", "3")], "").verdict;
        let retry = Verdict::Retry(Some(Duration::from_secs(3)));
        assert_eq!([429, 500, 503].map(|status| verdict(status, "false")), [Verdict::Request; 3]);
        assert_eq!([400, 404, 413, 429].map(|status| verdict(status, "true")), [retry; 4]);
        assert_eq!((verdict(429, "maybe"), verdict(400, "maybe")), (retry, Verdict::Fatal));
    }

    #[test]
    fn a_daily_quota_ends_the_run() {
        let words = r#"{"error": {"message": "Rate limit of 50 per 86400s exceeded. Please wait 40530 seconds."}}"#;
        let failure = advised(429, &[], words);
        assert_eq!(failure.verdict, Verdict::Fatal);
        let message = failure.to_string();
        assert!(message.contains("(it asks for a pause of 11 h 15 min, until ") && message.contains(" GMT)\nhint: "));
        let verdict = |seconds| advised(429, &[("retry-after", seconds)], "").verdict;
        assert_eq!(verdict("3600"), Verdict::Retry(Some(MAX_SERVER_PAUSE)));
        assert_eq!(verdict("3601"), Verdict::Fatal);
        assert_eq!(verdict("31536000"), Verdict::Retry(None), "no quota is yearly");
        assert_eq!(advised(401, &[("retry-after", "99999")], "").to_string().matches("pause").count(), 0);
    }
}
