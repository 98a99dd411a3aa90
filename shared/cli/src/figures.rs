//! Numbers as people read them.

/// Digits in threes: `12,345`.
pub fn group_digits(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 query`, `2 queries`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Hours and minutes, or minutes and seconds: nobody plans by the second of an hour.
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
    fn numbers_are_grouped_and_times_are_short() {
        assert_eq!([1, 123, 1234, 123_456, 1_234_567].map(group_digits).join(" "), "1 123 1,234 123,456 1,234,567");
        assert_eq!(
            [0.4, 59.6, 3599.0, 3600.0, 90_061.0].map(format_duration).join(", "),
            "0 s, 1 min 0 s, 59 min 59 s, 1 h 0 min, 25 h 1 min"
        );
    }
}
