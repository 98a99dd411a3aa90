//! How long from now, in all the ways in which servers write a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nothing that is further away is believed: the longest quotas are those of a month.
const FURTHEST: Duration = Duration::from_secs(32 * 86_400);

/// Numbers from here on are no durations but times since 1970, in so many parts of a second.
const EPOCHS: [(f64, f64); 4] = [(1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e9, 1.0)];

const UNITS: [(&[&str], f64); 7] = [
    (&["d", "day", "days"], 86_400.0),
    (&["h", "hr", "hrs", "hour", "hours"], 3600.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["s", "sec", "secs", "second", "seconds"], 1.0),
    (&["ms", "millis", "millisecond", "milliseconds"], 1e-3),
    (&["us", "µs", "microseconds"], 1e-6),
    (&["ns", "nanoseconds"], 1e-9),
];

/// The time until then: a number of seconds, a duration (`6m0s`, `1h 2m`, `20 seconds`), a time since 1970 in seconds or
/// milliseconds, or a date of HTTP (RFC 9110, 5.6.7) or of RFC 3339.
///
/// What is over, is further away than any quota, or is no time at all says nothing: none.
pub(super) fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim().trim_matches('"');
    if let Ok(number) = text.parse::<f64>() {
        return seconds(number, now);
    }
    if let Some(date) = date(text) {
        return plausible(date.duration_since(now).ok()?);
    }
    let (pause, rest) = leading(text)?;
    // Where several servers on the way have said so, the first one counts.
    plausible(pause).filter(|_| rest.starts_with(',') || rest.trim_end_matches('.').is_empty())
}

/// The time until a number of seconds has passed; a large one is a time since 1970.
pub(super) fn seconds(number: f64, now: SystemTime) -> Option<Duration> {
    let Some((_, parts)) = EPOCHS.iter().find(|(from, _)| number >= *from) else {
        return Duration::try_from_secs_f64(number).ok().and_then(plausible);
    };
    let then = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(number / parts).ok()?)?;
    plausible(then.duration_since(now).ok()?)
}

/// A duration at the beginning of a text, and what follows it; a number alone is one of seconds.
pub(super) fn leading(text: &str) -> Option<(Duration, &str)> {
    let (mut seconds, mut rest) = (None, text);
    loop {
        let between = rest.trim_start_matches([' ', ',']);
        let next = between.strip_prefix("and ").unwrap_or(between);
        let end = next.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(next.len());
        // A full stop ends a sentence.
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

/// A date of HTTP or of RFC 3339.
pub(super) fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok().or_else(|| rfc_3339(text))
}

/// A date such as `2026-11-30T17:00:00.5Z`; one without an offset is in UTC.
fn rfc_3339(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    let has = |place: usize, marks: &[u8]| text.as_bytes().get(place).is_some_and(|byte| marks.contains(byte));
    let marks: [(usize, &[u8]); 5] = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !text.is_ascii() || !marks.iter().all(|(place, marks)| has(*place, marks)) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let digits = text[19..]
        .strip_prefix('.')
        .map_or(0, |rest| rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let fraction: f64 = if digits > 0 { text[19..=19 + digits].parse().ok()? } else { 0.0 };
    let zone = text[19..].get(if digits > 0 { digits + 1 } else { 0 }..)?.trim();
    let seconds = days(year, month, day) * 86_400 + i64::from(hour * 3600 + minute * 60 + second) - offset(zone)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds as f64 + fraction).ok()?)
}

/// Seconds by which a zone is ahead of UTC.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "" | "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let sign = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    let (hours, minutes) =
        (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..4).unwrap_or("0").parse::<i64>().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days since 1970 of a date of the Gregorian calendar, counted in years that begin in March, so that a leap day is a
/// year's last.
fn days(year: u32, month: u32, day: u32) -> i64 {
    let (year, month, day) = (i64::from(year), i64::from(month), i64::from(day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    of_years + (153 * month + 2) / 5 + day - 1 - 719_468
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
    fn times_since_1970_and_dates() {
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
    fn days_are_those_of_the_calendar() {
        assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(2000, 3, 1)), (0, 11_016, 11_017));
        // Every day is one after the day before, over leap years and centuries.
        let lengths = |year: u32| {
            let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let all = (1970..2110).flat_map(|year| {
            lengths(year)
                .into_iter()
                .zip(1..)
                .flat_map(move |(length, month)| (1..=length).map(move |day| (year, month, day)))
        });
        for (expected, (year, month, day)) in (0..).zip(all) {
            assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        for odd in [
            "-1",
            "NaN",
            "inf",
            "-inf",
            "1e300",
            "1e18",
            "soon",
            "",
            ".",
            "5x",
            "5 apples",
            "3000000",
            "999999999",
            "1700000000",
            "1700000000000",
            "2015-10-21T07:28:00Z",
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "4000000000",
            "2099-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-30T25:00:00Z",
            "2026-11-30T16:00:20+99:00",
            "2026-11-30T16:00:20é",
            "2026-11-30",
            "400d",
            "--",
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
