//! Parsing the numbers of flags, and formatting numbers for people.

use std::num::NonZeroUsize;
use std::ops::RangeBounds;

/// Parses a number of bytes with an optional binary suffix K, M or G.
///
/// # Errors
/// When the text is not a positive whole number with such a suffix, or the product does not fit.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let suffixes = [(['K', 'k'], 10), (['M', 'm'], 20), (['G', 'g'], 30)];
    let suffixed = suffixes.iter().find_map(|(suffix, shift)| Some((text.strip_suffix(suffix)?, *shift)));
    let (digits, shift) = suffixed.unwrap_or((text, 0));
    let number: usize = digits.parse().map_err(|_| "expected a number of bytes such as 65536, 64K or 16M")?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be more than 0".into()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".into()),
    }
}

/// The largest rank, or number of documents of a query.
const MOST_RANKS: usize = 10_000_000;

/// Parses a rank, or a number of documents of a query, from 1 to ten million.
///
/// # Errors
/// Anything else.
pub fn parse_rank(text: &str) -> Result<NonZeroUsize, String> {
    parse_count(text, MOST_RANKS)
}

/// Parses a number from 1 to `most`.
pub(crate) fn parse_count(text: &str, most: usize) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= most);
    number.ok_or_else(|| format!("expected a number from 1 to {most}"))
}

/// Parses a share of a whole: from 0 to less than 1.
///
/// # Errors
/// Anything else.
pub fn parse_share(text: &str) -> Result<f64, String> {
    parse_number(text, 0.0..1.0, "from 0 to less than 1")
}

/// Parses a similarity of texts: from 0.5 to 1.
///
/// # Errors
/// Anything else.
pub(crate) fn parse_similarity(text: &str) -> Result<f64, String> {
    parse_number(text, 0.5..=1.0, "from 0.5 to 1")
}

/// Parses a finite number that is not negative.
///
/// # Errors
/// Anything else.
pub fn parse_not_negative(text: &str) -> Result<f64, String> {
    parse_number(text, 0.0..f64::INFINITY, "that is not negative")
}

fn parse_number(text: &str, range: impl RangeBounds<f64>, expected: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected a number {expected}"))
}

/// Digits in groups of three: `12,345`.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8_lossy(&groups.join(&b',')).into_owned()
}

/// A number with its noun: `1 query`, `2 queries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Hours and minutes, or minutes and seconds.
pub fn format_duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_binary_suffixes() {
        assert_eq!(parse_bytes("16M"), Ok(16 << 20));
        assert_eq!(parse_bytes("7"), Ok(7));
        for bad in ["", "M", "0", "-1", "1.5K", "99999999999999999999", "18446744073709551615K"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_bounds() {
        assert_eq!((parse_share("0.1"), parse_not_negative("2e-5")), (Ok(0.1), Ok(2e-5)));
        for bad in ["", "x", "-0.1", "NaN", "inf"] {
            assert!(parse_share(bad).is_err() && parse_not_negative(bad).is_err(), "{bad}");
        }
        assert!(parse_share("1").is_err());
        assert_eq!(parse_rank("10000000").map(NonZeroUsize::get), Ok(MOST_RANKS));
        for bad in ["0", "-1", "1.5", "10000001", "2000000000", "18446744073709551616"] {
            assert!(parse_rank(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_similarity("0.5"), parse_similarity("1")), (Ok(0.5), Ok(1.0)));
        for bad in ["0.4", "1.1", "NaN"] {
            assert!(parse_similarity(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digits_are_grouped_and_durations_are_short() {
        assert_eq!([1, 123, 1234, 123_456, 1_234_567].map(group_digits).join(" "), "1 123 1,234 123,456 1,234,567");
        assert_eq!(
            [0.4, 59.6, 3599.0, 3600.0, 90_061.0].map(format_duration).join(", "),
            "0 s, 1 min 0 s, 59 min 59 s, 1 h 0 min, 25 h 1 min"
        );
    }
}
