//! What a server says about its limits and about when to come back.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

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
    /// Reads `x-ratelimit-{limit,remaining,reset}-KIND`, where KIND is `requests` or `tokens`.
    pub(super) fn read(headers: &HeaderMap, kind: &str) -> Option<Self> {
        let text = |what: &str| headers.get(format!("x-ratelimit-{what}-{kind}"))?.to_str().ok().map(str::trim);
        let number = |what| text(what)?.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let limit = number("limit").filter(|limit| *limit >= 1.0)?;
        Some(Self { limit, remaining: number("remaining")?.min(limit), reset: text("reset").and_then(duration) })
    }
}

/// The pause that the server asks for: `retry-after-ms`, or `Retry-After` as seconds, a fraction of them, or a date
/// (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1000.0).ok();
    }
    let text = text(RETRY_AFTER.as_str())?;
    if let Ok(date) = httpdate::parse_http_date(text) {
        return Some(date.duration_since(SystemTime::now()).unwrap_or_default());
    }
    duration(text)
}

/// A duration as OpenAI writes it (`6m0s`, `8.64s`, `20ms`), or as a number of seconds, as Azure does.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut seconds = 0.0;
    let mut rest = Some(text).filter(|text| !text.is_empty())?;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += number
            * match &rest[..end] {
                "d" => 86_400.0,
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                _ => return None,
            };
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn pauses_come_in_every_form() {
        let pause = |text: &str| retry_after(&headers(&[("retry-after", text)]));
        assert_eq!(pause("2"), Some(Duration::from_secs(2)));
        assert_eq!(pause(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(pause("1m30s"), Some(Duration::from_secs(90)));
        let date = |from_now: i64| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs((now + from_now) as u64);
            pause(&httpdate::fmt_http_date(then)).unwrap().as_secs_f64()
        };
        assert!((18.0..=20.0).contains(&date(20)));
        assert_eq!(date(-20), 0.0);
        for odd in ["-1", "NaN", "inf", "1e300", "soon", "", "5x", "."] {
            assert_eq!(pause(odd), None, "{odd}");
        }
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "250")]);
        assert_eq!(retry_after(&both), Some(Duration::from_millis(250)));
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
        assert_eq!(duration("6m0s"), Some(Duration::from_secs(360)));
        assert_eq!(duration("1h2m3.5s"), Some(Duration::from_millis(3_723_500)));
    }
}
