//! JSON from servers, read as leniently as they write it.
//!
//! A server's reply is paid for, so one bad character must not lose all of it. A lone surrogate (`\ud83d`, half an
//! emoji that a model did not finish) and bytes that are not UTF-8 become U+FFFD, as in every text decoder. A raw
//! control character in a string stands for itself, and so does a backslash that escapes nothing. `NaN` and `Infinity`,
//! which Python writes, are null, and a byte order mark is skipped.

use serde_json::Value;

/// A value, and whether its text had to be repaired.
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) value: Value,
    pub(crate) is_repaired: bool,
}

/// Reads one value; none if the text cannot be repaired.
pub(crate) fn read(text: &[u8]) -> Option<Read> {
    // Nearly every text is valid, and then costs no more than strict parsing.
    if let Ok(value) = serde_json::from_slice(text) {
        return Some(Read { value, is_repaired: false });
    }
    let value = serde_json::from_str(&repaired(&String::from_utf8_lossy(text))).ok()?;
    Some(Read { value, is_repaired: true })
}

fn repaired(text: &str) -> String {
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut sound = String::with_capacity(rest.len());
    let mut is_string = false;
    while let Some(next) = rest.chars().next() {
        let mut length = next.len_utf8();
        match next {
            '"' => {
                is_string = !is_string;
                sound.push(next);
            }
            '\\' if is_string => length = escape(rest, &mut sound),
            control if is_string && control < ' ' => sound.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => match not_finite(rest).filter(|_| !is_string) {
                Some(number) => {
                    sound.push_str("null");
                    length = number.len();
                }
                None => sound.push(other),
            },
        }
        rest = &rest[length..];
    }
    sound
}

/// Copies the escape sequence that `rest` begins with, repaired if it is broken; returns its length.
fn escape(rest: &str, sound: &mut String) -> usize {
    if let Some(first) = unit(rest) {
        let second = rest.get(6..).and_then(unit);
        let is_pair = matches!((first, second), (0xd800..0xdc00, Some(0xdc00..0xe000)));
        let length = if is_pair { 12 } else { 6 };
        match first {
            0xd800..0xe000 if !is_pair => sound.push(char::REPLACEMENT_CHARACTER),
            _ => sound.push_str(&rest[..length]),
        }
        return length;
    }
    match rest[1..].chars().next() {
        Some(plain @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
            sound.extend(['\\', plain]);
            2
        }
        _ => {
            sound.push_str("\\\\");
            1
        }
    }
}

/// The UTF-16 code unit of an escape sequence.
fn unit(text: &str) -> Option<u16> {
    code_unit(text.strip_prefix("\\u")?)
}

/// The UTF-16 code unit whose four hexadecimal digits begin a text.
pub(crate) fn code_unit(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

/// Python's name of a number that JSON does not have.
fn not_finite(text: &str) -> Option<&'static str> {
    ["NaN", "-Infinity", "Infinity", "-NaN"].into_iter().find(|name| text.starts_with(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The value of a text that is not valid JSON.
    fn mended(text: impl AsRef<[u8]>) -> Value {
        let read = read(text.as_ref()).unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(text.as_ref())));
        assert!(read.is_repaired, "{:?}", read.value);
        read.value
    }

    #[test]
    fn valid_json_stays_as_it_is() {
        for text in [r#"{"a": ["\ud83d\ude00", "\\ud83d", "NaN", "\"", "é"]}"#, "null", " [1.5e3] \n"] {
            let read = read(text.as_bytes()).unwrap();
            assert_eq!((read.value, read.is_repaired), (serde_json::from_str(text).unwrap(), false));
        }
    }

    #[test]
    fn half_a_character_is_replaced() {
        assert_eq!(mended(r#"["a \ud83d b"]"#), json!(["a \u{fffd} b"]));
        assert_eq!(mended(r#"["\ud83d"]"#), json!(["\u{fffd}"]));
        assert_eq!(mended(r#"["\uDE00\ud83d\ud83d\ude00"]"#), json!(["\u{fffd}\u{fffd}😀"]));
        assert_eq!(mended(r#"["\ud83d\n\\\ud83dA"]"#), json!(["\u{fffd}\n\\\u{fffd}A"]));
        // JSON inside a string has one more backslash before each of its escapes.
        assert_eq!(mended(r#"{"c": "{\"q\": [\"\\ud83d \ud83d\"]}"}"#)["c"], "{\"q\": [\"\\ud83d \u{fffd}\"]}");
        assert_eq!(mended(b"[\"a\xff\xfeb\", \"\xed\xa0\xbd\"]"), json!(["a\u{fffd}\u{fffd}b", "\u{fffd}".repeat(3)]));
    }

    #[test]
    fn other_mistakes_are_repaired() {
        assert_eq!(mended("\u{feff}{\"a\": 1}"), json!({"a": 1}));
        assert_eq!(mended("[\"two\nlines\ta\u{0}\"]"), json!(["two\nlines\ta\0"]));
        assert_eq!(mended(r#"["it\'s \x \u12 C:\dir"]"#), json!([r"it\'s \x \u12 C:\dir"]));
        assert_eq!(mended(r#"{"logprob": -Infinity, "b": [NaN, Infinity], "c": "NaN \q"}"#)["b"], json!([null, null]));
    }

    #[test]
    fn other_texts_are_not_json() {
        for text in
            ["", "{", "[\"a", "<html>", "{\"a\": \"\\ud83d", "\"\\", "\"\\u", "nul", "[1] [2]", "\\", "\u{feff}"]
        {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        // Every cut of a text with characters of several bytes and an escape of each kind.
        let text = r#"{"é": "\ud83d\ude00 \ud83d 😀 \u00e9 \x \" \\", "n": -Infinity}"#;
        for end in 0..=text.len() {
            let found = read(&text.as_bytes()[..end]);
            assert_eq!(found.is_some(), end == text.len(), "{end}");
        }
    }
}
