//! What a server says about its limits and about when to come back.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use super::time::{date, seconds, until};
use super::words;

/// What limits count, as headers name it.
pub(super) const KINDS: [&str; 2] = ["requests", "tokens"];

/// A server's own count of requests or tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Allowance {
    /// What fits at most.
    pub(super) limit: f64,
    /// What is left.
    pub(super) remaining: f64,
    /// When all of it is there again.
    pub(super) reset: Option<Duration>,
}

impl Allowance {
    /// Reads `x-ratelimit-{limit,remaining,reset}-KIND`, where KIND is `requests` or `tokens`, or Anthropic's names of
    /// the same; headers that name no kind count requests.
    pub(super) fn read(headers: &HeaderMap, kind: &str) -> Option<Self> {
        let text = |what| names(kind, what).into_iter().find_map(|name| text(headers, &name));
        let number = |what| text(what)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let limit = number("limit").filter(|limit| *limit >= 1.0)?;
        let reset = text("reset").and_then(|text| until(text, clock(headers)));
        Some(Self { limit, remaining: number("remaining")?.min(limit), reset })
    }
}

/// The names under which servers say something of a limit.
fn names(kind: &str, what: &str) -> Vec<String> {
    let mut names = vec![format!("x-ratelimit-{what}-{kind}"), format!("anthropic-ratelimit-{kind}-{what}")];
    if kind == KINDS[0] {
        names.extend([format!("x-ratelimit-{what}"), format!("ratelimit-{what}")]);
    }
    names
}

/// The pause that the server asks for in the headers of a refusal: `retry-after-ms`, or `Retry-After` as seconds, a
/// fraction of them, a duration, a time since 1970 or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(|text| text.parse::<f64>().ok());
    let now = clock(headers);
    milliseconds
        .and_then(|milliseconds| seconds(milliseconds / 1000.0, now))
        .or_else(|| until(text(headers, RETRY_AFTER.as_str())?, now))
}

/// The pause that a refusal asks for, wherever it says so: in its headers, in its body, or by when what is used up is
/// there again.
pub(crate) fn asked(headers: &HeaderMap, body: &str) -> Option<Duration> {
    retry_after(headers).or_else(|| words::pause(body, clock(headers))).or_else(|| {
        let used_up = |kind| names(kind, "remaining").iter().any(|name| text(headers, name) == Some("0"));
        let reset = |kind| names(kind, "reset").iter().find_map(|name| until(text(headers, name)?, clock(headers)));
        KINDS.into_iter().filter(|kind| used_up(kind)).filter_map(reset).max()
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// What time it is by the server's clock, which its times are by; by ours where it does not say.
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
    fn pauses_come_in_every_form() {
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
    fn the_servers_clock_counts_where_it_is_told() {
        let reset = |date: Option<&str>, reset: &str| {
            let mut given = headers(&[("x-ratelimit-limit-requests", "5"), ("x-ratelimit-remaining-requests", "0")]);
            given.insert("x-ratelimit-reset-requests", reset.parse().unwrap());
            date.map(|date| given.insert(DATE, date.parse().unwrap()));
            Allowance::read(&given, "requests").unwrap().reset
        };
        assert_eq!(reset(Some("Mon, 01 Jan 2024 00:00:00 GMT"), "1704067205"), Some(Duration::from_secs(5)));
        let soon = SystemTime::now() + Duration::from_secs(20);
        let ours = reset(None, &httpdate::fmt_http_date(soon)).unwrap();
        assert!((15.0..=20.0).contains(&ours.as_secs_f64()), "{ours:?}");
        assert_eq!(reset(None, "1704067205"), None, "that is over");
    }

    #[test]
    fn allowances_are_read() {
        let given = headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "499"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "30000"),
        ]);
        let reset = Some(Duration::from_millis(120));
        assert_eq!(Allowance::read(&given, "requests"), Some(Allowance { limit: 500.0, remaining: 499.0, reset }));
        assert_eq!(Allowance::read(&given, "tokens"), None, "what is left is not said");
        let given = headers(&[
            TODAY,
            ("anthropic-ratelimit-tokens-limit", "80000"),
            ("anthropic-ratelimit-tokens-remaining", "79000"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-30T16:00:01Z"),
            ("x-ratelimit-limit", "20"),
            ("x-ratelimit-remaining", "-1"),
        ]);
        let reset = Some(Duration::from_secs(1));
        assert_eq!(Allowance::read(&given, "tokens"), Some(Allowance { limit: 80_000.0, remaining: 79_000.0, reset }));
        assert_eq!(Allowance::read(&given, "requests"), None, "a count below nothing is none");
    }

    #[test]
    fn a_refusal_says_somewhere_when_to_come_back() {
        let words = r#"{"error": {"message": "Please try again in 20s."}}"#;
        let reset = ("x-ratelimit-reset-tokens", "30s");
        let left = |left| headers(&[("x-ratelimit-remaining-tokens", left), reset]);
        let seconds = |headers: &HeaderMap, body| asked(headers, body).map(|pause| pause.as_secs());
        assert_eq!(seconds(&headers(&[("retry-after", "7"), reset]), words), Some(7));
        assert_eq!(seconds(&left("0"), words), Some(20));
        assert_eq!(seconds(&left("0"), ""), Some(30));
        assert_eq!(seconds(&left("5"), ""), None, "something else was used up");
        let bare = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")];
        assert_eq!(seconds(&headers(&bare), ""), Some(9));
    }
}
