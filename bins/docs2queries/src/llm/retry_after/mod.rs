//! Rate limits, and the pause that a server asks for before the next request.
//!
//! Servers state them in headers, in fields of the body, or in prose, and write the time as a number of seconds, a
//! duration, a Unix time or a date.

mod body;
mod time;

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use time::{date, seconds, until};

/// The kinds of rate limits, as they are named in headers.
pub(super) const KINDS: [&str; 2] = ["requests", "tokens"];

/// The state of a server's rate limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RateLimit {
    /// Requests or tokens that the limit allows at most.
    pub(super) limit: f64,
    /// How many of them are left.
    pub(super) remaining: f64,
    /// The time until all of them are available again.
    pub(super) reset: Option<Duration>,
}

impl RateLimit {
    /// Reads `x-ratelimit-{limit,remaining,reset}-KIND`, where KIND is `requests` or `tokens`, or Anthropic's names for
    /// the same. Headers that name no kind count requests.
    pub(super) fn read(headers: &HeaderMap, kind: &str) -> Option<Self> {
        let text = |field| names(kind, field).into_iter().find_map(|name| text(headers, &name));
        let number = |field| text(field)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let limit = number("limit").filter(|limit| *limit >= 1.0)?;
        let reset = text("reset").and_then(|text| until(text, clock(headers)));
        Some(Self { limit, remaining: number("remaining")?.min(limit), reset })
    }
}

/// The headers in which servers give a field of a rate limit.
fn names(kind: &str, field: &str) -> Vec<String> {
    let mut names = vec![format!("x-ratelimit-{field}-{kind}"), format!("anthropic-ratelimit-{kind}-{field}")];
    if kind == KINDS[0] {
        names.extend([format!("x-ratelimit-{field}"), format!("ratelimit-{field}")]);
    }
    names
}

/// The pause that the headers of a refusal ask for: `retry-after-ms`, or `Retry-After` as a number of seconds, whole or
/// not, a duration, a Unix time or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    let now = clock(headers);
    milliseconds
        .and_then(|milliseconds| seconds(milliseconds / 1000.0, now))
        .or_else(|| until(text(headers, RETRY_AFTER.as_str())?, now))
}

/// The pause that a refusal asks for, in its headers, in its body, or by the reset time of a limit that is used up.
pub(super) fn requested_pause(headers: &HeaderMap, body: &str) -> Option<Duration> {
    retry_after(headers).or_else(|| body::pause(body, clock(headers))).or_else(|| {
        let is_used_up = |kind| names(kind, "remaining").iter().any(|name| text(headers, name) == Some("0"));
        let reset = |kind| names(kind, "reset").iter().find_map(|name| until(text(headers, name)?, clock(headers)));
        KINDS.into_iter().filter(|kind| is_used_up(kind)).filter_map(reset).max()
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The time by the server's clock, to which its dates refer; by the local clock if the server does not give it.
fn clock(headers: &HeaderMap) -> SystemTime {
    text(headers, DATE.as_str()).and_then(date).unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: (&str, &str) = ("date", "Mon, 30 Nov 2026 16:00:00 GMT");

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn retry_after_comes_in_every_form() {
        let pause = |text: &str| retry_after(&headers(&[TODAY, ("retry-after", text)]));
        assert_eq!(pause("2"), Some(Duration::from_secs(2)));
        assert_eq!(pause(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(pause("1m30s"), Some(Duration::from_secs(90)));
        for date in ["Mon, 30 Nov 2026 16:00:20 GMT", "1796054420", "1796054420000", "2026-11-30T16:00:20Z"] {
            assert_eq!(pause(date), Some(Duration::from_secs(20)), "{date}");
        }
        for odd in ["-1", "NaN", "inf", "1e300", "soon", "", "5x", ".", "1700000000", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(pause(odd), None, "{odd}");
        }
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "250")]);
        assert_eq!(retry_after(&both), Some(Duration::from_millis(250)));
        let odd = headers(&[("retry-after", "7"), ("retry-after-ms", "-250")]);
        assert_eq!(retry_after(&odd), Some(Duration::from_secs(7)));
    }

    #[test]
    fn dates_are_relative_to_the_servers_clock() {
        let reset = |date: Option<&str>, reset: &str| {
            let mut given = headers(&[("x-ratelimit-limit-requests", "5"), ("x-ratelimit-remaining-requests", "0")]);
            given.insert("x-ratelimit-reset-requests", reset.parse().unwrap());
            date.map(|date| given.insert(DATE, date.parse().unwrap()));
            RateLimit::read(&given, "requests").unwrap().reset
        };
        assert_eq!(reset(Some("Mon, 01 Jan 2024 00:00:00 GMT"), "1704067205"), Some(Duration::from_secs(5)));
        let soon = SystemTime::now() + Duration::from_secs(20);
        let ours = reset(None, &httpdate::fmt_http_date(soon)).unwrap();
        assert!((15.0..=20.0).contains(&ours.as_secs_f64()), "{ours:?}");
        assert_eq!(reset(None, "1704067205"), None, "that time has passed");
    }

    #[test]
    fn rate_limits_are_read_from_the_headers_of_openai_and_anthropic() {
        let given = headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "30000"),
        ]);
        let reset = Some(Duration::from_millis(120));
        assert_eq!(RateLimit::read(&given, "requests"), Some(RateLimit { limit: 500.0, remaining: 499.0, reset }));
        assert_eq!(RateLimit::read(&given, "tokens"), None, "the remaining number is not given");
        let given = headers(&[
            TODAY,
            ("anthropic-ratelimit-tokens-limit", "80000"),
            ("anthropic-ratelimit-tokens-remaining", "79000"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-30T16:00:01Z"),
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-remaining", "-1"),
        ]);
        let reset = Some(Duration::from_secs(1));
        assert_eq!(RateLimit::read(&given, "tokens"), Some(RateLimit { limit: 80_000.0, remaining: 79_000.0, reset }));
        assert_eq!(RateLimit::read(&given, "requests"), None, "a negative count is ignored");
    }

    #[test]
    fn a_pause_is_found_in_headers_before_the_body_and_reset_times() {
        let words = r#"{"error": {"message": "Please try again in 20s."}}"#;
        let reset = ("x-ratelimit-reset-tokens", "30s");
        let remaining = |count| headers(&[("x-ratelimit-remaining-tokens", count), reset]);
        let seconds = |headers: &HeaderMap, body| requested_pause(headers, body).map(|pause| pause.as_secs());
        assert_eq!(seconds(&headers(&[("retry-after", "7"), reset]), words), Some(7));
        assert_eq!(seconds(&remaining("0"), words), Some(20));
        assert_eq!(seconds(&remaining("0"), ""), Some(30));
        assert_eq!(seconds(&remaining("5"), ""), None, "something else was used up");
        let bare = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")];
        assert_eq!(seconds(&headers(&bare), ""), Some(9));
    }
}
