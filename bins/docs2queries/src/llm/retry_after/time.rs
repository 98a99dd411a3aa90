//! The time from now until a point in time, in all the notations that servers use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A pause longer than this is taken for an error, because the longest quotas are monthly.
const FURTHEST: Duration = Duration::from_secs(32 * 86_400);

/// A number from these values on is a Unix time and not a duration, in this many units per second.
const UNIX_TIMES: [(f64, f64); 4] = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e9, 1.0)];

/// Names of units, and their length in seconds.
const UNITS: [(&[&str], f64); 7] = [
    (&["d", "day", "days"], 86_400.0),
    (&["h", "hr", "hrs", "hour", "hours"], 3600.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["ms", "millis", "millisecond", "milliseconds"], 1e-3),
    (&["us", "µs", "microseconds"], 1e-6),
    (&["ns", "nanoseconds"], 1e-9),
];

/// The time until a point in time that is written as a number of seconds, a duration (`6m0s`, `1h 2m`, `20 seconds`), a
/// Unix time in seconds or smaller units, or a date.
///
/// None if that time has passed, is further away than any quota, or cannot be read.
pub(super) fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim().trim_matches('"');
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number, now);
    }
    if let Some(date) = date(text) {
        return plausible(date.duration_since(now).ok()?);
    }
    let (pause, rest) = leading(text)?;
    // If several proxies have added a value, the first one counts.
    plausible(pause).filter(|_| rest.starts_with(',') || rest.trim_end_matches('.').is_empty())
}

/// A number of seconds as a duration; a large number is a Unix time.
pub(super) fn seconds(number: f64, now: SystemTime) -> Option<Duration> {
    let Some((_, parts)) = UNIX_TIMES.iter().find(|(from, _)| number >= *from) else {
        return Duration::try_from_secs_f64(number).ok().and_then(plausible);
    };
    let then = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(number / parts).ok()?)?;
    plausible(then.duration_since(now).ok()?)
}

/// The duration at the beginning of a text, and the rest of the text; a number without a unit counts seconds.
pub(super) fn leading(text: &str) -> Option<(Duration, &str)> {
    let (mut seconds, mut rest) = (None, text);
    loop {
        let between = rest.trim_start_matches([' ', ',']);
        let next = between.strip_prefix("and ").unwrap_or(between);
        let end = next.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(next.len());
        // A full stop at the end belongs to the sentence.
        let number = next[..end].trim_end_matches('.');
        let Ok(value) = number.parse::<f64>() else { break };
        let after = &next[number.len()..];
        let word = after.strip_prefix(' ').unwrap_or(after);
        let letters = word.find(|c: char| !c.is_alphabetic()).unwrap_or(word.len());
        let name = word[..letters].to_lowercase();
        let Some((_, unit)) = UNITS.iter().find(|(names, _)| names.contains(&name.as_str())) else {
            let is_alone = seconds.is_none() && (name.is_empty() || word.len() < after.len());
            if is_alone {
                (seconds, rest) = (Some(value), after);
            }
            break;
        };
        *seconds.get_or_insert(0.0) += value * unit;
        rest = &word[letters..];
    }
    Some((Duration::try_from_secs_f64(seconds?).ok()?, rest))
}

/// A date of HTTP (RFC 9110, 5.6.7) or of ISO 8601, such as `2026-11-30T17:00:00.5Z`; one without an offset is in UTC.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok().or_else(|| iso_8601(text))
}

fn iso_8601(text: &str) -> Option<SystemTime> {
    let text = text.trim_end_matches("UTC").trim_end_matches("GMT").trim_end();
    // A date without a time of day is not precise enough.
    text.contains(':').then_some(())?;
    let timestamp = text.parse::<Timestamp>().or_else(|_| {
        text.parse::<DateTime>().and_then(|date| date.to_zoned(TimeZone::UTC)).map(|date| date.timestamp())
    });
    UNIX_EPOCH.checked_add(Duration::try_from(timestamp.ok()?.as_duration()).ok()?)
}

fn plausible(pause: Duration) -> Option<Duration> {
    Some(pause).filter(|pause| *pause <= FURTHEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-30T16:00:00Z.
    const NOW: u64 = 1_796_054_400;

    fn read(text: &str) -> Option<f64> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        until(text, now).map(|pause| (pause.as_secs_f64() * 1e6).round() / 1e6)
    }

    #[test]
    fn durations_and_numbers() {
        for (text, seconds) in [
            ("2", 2.0),
            (" 0.5 ", 0.5),
            ("0", 0.0),
            ("1s", 1.0),
            ("6m0s", 360.0),
            ("120ms", 0.12),
            ("1h2m", 3720.0),
            ("1h2m3.5s", 3723.5),
            ("2m59.56s", 179.56),
            ("1 minute 30 seconds", 90.0),
            ("1 hour, 5 minutes and 3 seconds", 3903.0),
            ("20 Seconds.", 20.0),
            ("36.429760048s", 36.42976),
            ("2d", 172_800.0),
            ("500us", 0.0005),
            ("86400", 86_400.0),
            ("5, 5", 5.0),
            ("1m, 30", 60.0),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn unix_times_and_dates() {
        for text in [
            format!("{}", NOW + 20),
            format!("{}.0", NOW + 20),
            format!("{}", (NOW + 20) * 1000),
            format!("{}", (NOW + 20) * 1_000_000),
            format!("{}000000000", NOW + 20),
            "Mon, 30 Nov 2026 16:00:20 GMT".into(),
            "2026-11-30T16:00:20Z".into(),
            "2026-11-30T16:00:20.000000Z".into(),
            "2026-11-30 16:00:20".into(),
            "2026-11-30t17:30:20+01:30".into(),
            "2026-11-30T11:00:20-0500".into(),
            "\"2026-11-30T16:00:20Z\"".into(),
        ] {
            assert_eq!(read(&text), Some(20.0), "{text}");
        }
        assert_eq!(read("2026-11-30T16:00:20.25Z"), Some(20.25));
        assert_eq!(read("2026-12-01T00:00:00Z"), Some(8.0 * 3600.0));
    }

    #[test]
    fn implausible_times_are_ignored() {
        let odd = "-1|NaN|inf|-inf|1e300|1e18|soon||.|5x|5 apples|3000000|999999999|1700000000|1700000000000|\
            2015-10-21T07:28:00Z|Wed, 21 Oct 2015 07:28:00 GMT|4000000000|2099-01-01T00:00:00Z|\
            2026-13-01T00:00:00Z|2026-11-30T25:00:00Z|2026-11-30T16:00:20+99:00|2026-11-30T16:00:20é|2026-11-30|\
            400d|--";
        for odd in odd.split('|') {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
