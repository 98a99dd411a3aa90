//! The marks and escape sequences of JSON, as models write them.

use crate::llm::code_unit;

pub(super) fn is_opening(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’')
}

/// The text after white space, comments, and other characters that `is_skipped` accepts.
pub(super) fn skip_space(mut text: &str, is_skipped: impl Fn(char) -> bool) -> &str {
    loop {
        let rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || is_skipped(c));
        let rest = if rest.starts_with("//") || rest.starts_with('#') {
            rest.find('\n').map_or("", |end| &rest[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            rest
        };
        if rest.len() == text.len() {
            return rest;
        }
        text = rest;
    }
}

/// The length of the separator between a key and its value, if the text begins with one.
pub(super) fn colon(text: &str) -> Option<usize> {
    [":", "：", "=>", "="].iter().find(|mark| text.starts_with(**mark)).map(|mark| mark.len())
}

pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ',' | '，' | '、' | ';' | '；')
}

pub(super) fn is_closing(c: char) -> bool {
    matches!(c, ']' | '}' | ')')
}

/// Whether a word without quotes is a literal of JSON or Python, or an ellipsis.
pub(super) fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null" | "True" | "False" | "None" | "..." | "…") || word.parse::<f64>().is_ok()
}

/// The text with its escapes decoded. Escapes that JSON does not have are kept, because they are code (`\d`,
/// `C:\Users`), except those of Markdown and LaTeX. Before a letter, `\b` and `\f` are TeX's and no control characters.
pub(super) fn unescaped(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            text.push('\\');
            break;
        };
        rest = &rest[c.len_utf8()..];
        let is_word = rest.starts_with(|c: char| c.is_ascii_alphabetic());
        match c {
            '"' | '\\' | '/' | '\'' | '`' | '“' | '”' | '_' | '$' | '#' | '&' | '%' | '~' | '\n' => text.push(c),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' if !is_word => text.push('\u{8}'),
            'f' if !is_word => text.push('\u{c}'),
            'u' => {
                let (read, length) = code_unit(rest).map_or(("\\u".to_owned(), 0), |unit| unit_or_pair(unit, rest));
                text.push_str(&read);
                rest = &rest[length..];
            }
            other => text.extend(['\\', other]),
        }
    }
    text + rest
}

/// The character of an escape whose first code unit begins the text, and its length; half a pair becomes U+FFFD.
fn unit_or_pair(first: u16, text: &str) -> (String, usize) {
    let second = text[4..].strip_prefix("\\u").and_then(code_unit);
    if let Some(pair) = second.and_then(|second| String::from_utf16(&[first, second]).ok())
        && (0xD800..0xDC00).contains(&first)
    {
        return (pair, 10);
    }
    (String::from_utf16_lossy(&[first]), 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        for (raw, expected) in [
            (r#"\"a\" \\ \/ \u00e9 \ud83d\ude00"#, "\"a\" \\ / é 😀"),
            (r"it\'s chunk\_id for \$5", "it's chunk_id for $5"),
            (r"\d+ in C:\Users, \frac and \beta", r"\d+ in C:\Users, \frac and \beta"),
            (r"\ud800 \u12 \uzzzz \u", "\u{fffd} \\u12 \\uzzzz \\u"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            ("end\\", "end\\"),
            (r"\u00", r"\u00"),
            ("\\u00é0", "\\u00é0"),
        ] {
            assert_eq!(unescaped(raw), expected, "{raw}");
        }
    }
}
