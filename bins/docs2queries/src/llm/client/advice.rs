//! What an error says about trying again.

use std::time::SystemTime;

use embtune_cli::format_duration;
use reqwest::header::HeaderMap;

use super::{Failure, Verdict};
use crate::llm::pace::asked;
use crate::llm::retry::PATIENCE;

/// The failure, and what its headers and its body ask for.
///
/// `x-should-retry` is the server's word on whether to ask again, as OpenAI's and Anthropic's own clients take it. A
/// pause that is too long ends the run: whoever waits for tomorrow's quota does so better without a process.
pub(super) fn heeded(mut failure: Failure, headers: &HeaderMap, body: &str) -> Failure {
    let asked = asked(headers, body);
    let should_retry = headers.get("x-should-retry").and_then(|value| value.to_str().ok()).map(str::trim);
    failure.verdict = match (failure.verdict, should_retry) {
        (Verdict::Retry(_), Some("false")) => Verdict::Document,
        (Verdict::Run | Verdict::Document, Some("true")) | (Verdict::Retry(_), _) => Verdict::Retry(asked),
        (other, _) => other,
    };
    match asked.filter(|asked| *asked > PATIENCE && matches!(failure.verdict, Verdict::Retry(_))) {
        None => failure,
        Some(asked) => {
            let wait = format_duration(asked.as_secs_f64());
            let end = SystemTime::now().checked_add(asked).map(httpdate::fmt_http_date).unwrap_or_default();
            let hint = "that is too long to wait for: with --journal, the same command goes on from here then";
            let what = format!("{failure} (it asks for a pause of {wait}, until {end})");
            let Failure { may_cost, paid, .. } = failure;
            Failure { may_cost, paid, ..Failure::new(what, Some(hint), Verdict::Run) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;

    fn heed(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let failure = Failure::of_status(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes());
        heeded(failure, &headers, body)
    }

    #[test]
    fn the_servers_word_on_retries_holds() {
        let verdict = |status, word| heed(status, &[("x-should-retry", word), ("retry-after", "3")], "").verdict;
        let retry = Verdict::Retry(Some(Duration::from_secs(3)));
        assert_eq!([429, 500, 503].map(|status| verdict(status, "false")), [Verdict::Document; 3]);
        assert_eq!([400, 404, 413, 429].map(|status| verdict(status, "true")), [retry; 4]);
        assert_eq!((verdict(429, "maybe"), verdict(400, "maybe")), (retry, Verdict::Run));
    }

    #[test]
    fn a_pause_of_a_day_is_refused_with_its_time() {
        let words = r#"{"error": {"message": "Rate limit of 50 per 86400s exceeded. Please wait 40530 seconds."}}"#;
        let failure = heed(429, &[], words);
        assert_eq!(failure.verdict, Verdict::Run);
        let message = failure.to_string();
        assert!(message.contains("(it asks for a pause of 11 h 15 min, until ") && message.contains(" GMT)\nhint: "));
        let verdict = |seconds| heed(429, &[("retry-after", seconds)], "").verdict;
        assert_eq!(verdict("3600"), Verdict::Retry(Some(PATIENCE)));
        assert_eq!(verdict("3601"), Verdict::Run);
        assert_eq!(verdict("31536000"), Verdict::Retry(None), "nobody has a limit of a year");
        assert_eq!(heed(401, &[("retry-after", "99999")], "").to_string().matches("pause").count(), 0);
    }
}
