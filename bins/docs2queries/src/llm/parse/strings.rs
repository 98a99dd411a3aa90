//! Where a string ends whose quotes may not be escaped, and what its escapes stand for.

use super::json::{colon, is_closing, is_literal, is_separator, skip_space};
use crate::llm::json::code_unit;

/// How far the signs are looked for that a string ended, in bytes.
const AHEAD: usize = 300;
/// How far the search for a better end goes on after a possible one, in bytes: longer than any query.
const FURTHEST: usize = 2_000;

/// What a string is, to the value that it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Item,
    Key,
    Value,
}

/// A string that was looked for.
#[derive(Debug)]
pub(super) struct Found {
    /// What it says, or nothing when it broke off.
    pub(super) text: Option<String>,
    /// Its bytes, quotes included.
    pub(super) length: usize,
    /// Whether it broke off after some words.
    pub(super) has_lost: bool,
}

pub(super) fn is_opening(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '“' | '”' | '„' | '‘' | '’')
}

fn closes(opening: char, c: char) -> bool {
    match opening {
        '“' | '”' | '„' => matches!(c, '“' | '”' | '"'),
        '‘' | '’' => matches!(c, '‘' | '’' | '\''),
        _ => c == opening,
    }
}

/// The string that begins the text, inside of the brackets that these marks will close.
///
/// A quote ends it where what follows is what follows a string, and where no quote that opens inside of it awaits its
/// partner. A string of valid JSON ends at its first quote that is not escaped, by the same rule.
pub(super) fn read(text: &str, place: Place, open: &[char]) -> Found {
    let opening = text.chars().next().unwrap_or('"');
    let start = opening.len_utf8();
    let ends = |end: usize, length: usize| {
        let raw = text[start..end].trim_end_matches(|c: char| length == end && (c.is_whitespace() || is_separator(c)));
        Found { text: Some(unescaped(raw)), length, has_lost: false }
    };
    let mut second_best: Option<(usize, usize)> = None;
    let mut is_inner_open = false;
    let mut previous = None;
    let mut chars = text[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        let at = at + start;
        if second_best.is_some_and(|(end, _)| at - end > FURTHEST) {
            break;
        }
        let after = at + c.len_utf8();
        if c == '\\' {
            chars.next();
        } else if c == '\n' && second_best.is_none() {
            let next = ahead(&text[after..]).trim_start();
            if next.starts_with("```") {
                break;
            }
            if next.starts_with(opening) && place != Place::Key {
                return ends(at, at); // the quote was forgotten
            }
        } else if closes(opening, c) {
            let is_end = may_follow(ahead(&text[after..]), place, open);
            if is_end && !is_inner_open {
                return ends(at, after);
            }
            if is_end {
                second_best.get_or_insert((at, after));
            }
            let follows_a_gap = previous.is_none_or(|c: char| c.is_whitespace() || "([{<-–—/".contains(c));
            let precedes_a_word = text[after..].chars().next().is_some_and(|c| !c.is_whitespace());
            is_inner_open = !is_end && follows_a_gap && precedes_a_word;
        }
        previous = Some(c);
    }
    if let Some((end, length)) = second_best {
        return ends(end, length);
    }
    let length = text[start..].find("\n```").map_or(text.len(), |end| start + end);
    Found { text: None, length, has_lost: text[start..length].contains(char::is_alphanumeric) }
}

/// The beginning of a text, so that a hostile one costs no more than its length.
fn ahead(text: &str) -> &str {
    &text[..text.floor_char_boundary(AHEAD)]
}

/// Whether a string may end before this text.
fn may_follow(text: &str, place: Place, open: &[char]) -> bool {
    let rest = skip_space(text, |_| false);
    let Some(next) = rest.chars().next() else { return true };
    let has_gap = rest.len() < text.len();
    if place == Place::Key && colon(rest).is_some() || has_gap && rest.starts_with("```") {
        return true;
    }
    if is_closing(next) {
        return open.len() < 2 || may_follow_brackets(&rest[next.len_utf8()..]);
    }
    if is_separator(next) {
        let rest = skip_space(&rest[next.len_utf8()..], is_separator);
        return rest.is_empty() || rest.starts_with(is_closing) || begins_next(rest, place);
    }
    // A comma was forgotten.
    has_gap && next != '`' && begins_next(rest, place)
}

/// Whether the next item or field begins here.
fn begins_next(text: &str, place: Place) -> bool {
    let Some(next) = text.chars().next() else { return true };
    if place != Place::Item {
        // The next key is a word, or a string with a colon after it; what may be a set has items.
        let end = if is_opening(next) {
            end_of_key(text, next)
        } else {
            text.find(|c: char| !c.is_alphanumeric() && c != '_')
        };
        let is_key = end.is_some_and(|end| end > 0 && colon(text[end..].trim_start()).is_some());
        return is_key || place == Place::Key && is_opening(next);
    }
    let text = text.strip_prefix(['u', 'r', 'f', 'b']).filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(text);
    let next = text.chars().next().unwrap_or(next);
    let word = &text[..text.find(|c| is_separator(c) || is_closing(c)).unwrap_or(text.len())];
    is_opening(next) || matches!(next, '{' | '[') || is_literal(word.trim()) || text.starts_with("...")
}

/// Where the string that begins the text ends if it is a plain one.
fn end_of_key(text: &str, opening: char) -> Option<usize> {
    let start = opening.len_utf8();
    let mut chars = text[start..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '\n' => return None,
            c if closes(opening, c) => return Some(start + at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// Whether an inner list or object may end before this text.
fn may_follow_brackets(text: &str) -> bool {
    let rest = text.trim_start();
    let next = rest.chars().next();
    let is_next_line = rest.len() < text.len() && text[..text.len() - rest.len()].contains('\n');
    next.is_none_or(|next| is_separator(next) || is_closing(next) || is_next_line || "\"{[#/".contains(next))
}

/// How long the text is before the quote that ends a string, or before the line's end.
pub(super) fn plain_length(text: &str) -> usize {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '"' | '\n' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The text with its escapes replaced. Those that JSON does not know stay, because they are code: `\d`, `C:\Users`; but
/// not those of the marks that Markdown and LaTeX escape. `\b` and `\f` before a letter are TeX's, not control characters.
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

/// The character of an escape whose first code unit begins the text, and how many bytes it takes; half of a pair is none.
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

    /// The items of a list.
    fn items(text: &str) -> Vec<String> {
        let Some(super::super::json::Node::List(items)) = super::super::json::value(text, 0).map(|parsed| parsed.node)
        else {
            return Vec::new();
        };
        items
            .into_iter()
            .map(|item| if let super::super::json::Node::Text(text) = item { text } else { format!("{item:?}") })
            .collect()
    }

    #[test]
    fn quotes_inside_of_a_string() {
        for (text, expected) in [
            (r#"["what does "notice" mean", "b"]"#, &["what does \"notice\" mean", "b"][..]),
            (r#"["say "yes", or "no"", "b"]"#, &["say \"yes\", or \"no\"", "b"]),
            (r#"["what do "a", "b" mean", "c"]"#, &["what do \"a\", \"b\" mean", "c"]),
            (r#"["a 5" pipe", "b 6" tube", "c"]"#, &["a 5\" pipe", "b 6\" tube", "c"]),
            (r#"[""notice" meaning", "b"]"#, &["\"notice\" meaning", "b"]),
            (r#"["meaning of "notice"", "b"]"#, &["meaning of \"notice\"", "b"]),
            (r#"["meaning of "notice""]"#, &["meaning of \"notice\""]),
            (r#"[""notice"", "b"]"#, &["\"notice\"", "b"]),
            (r#"["use vec!["a"] now", "b"]"#, &["use vec![\"a\"] now", "b"]),
            (r#"["what is "x", "b"]"#, &["what is \"x", "b"]),
            (r#"['the tenants' rent', 'it's', 'b']"#, &["the tenants' rent", "it's", "b"]),
            ("[\"a\",\n\"b,\n\"c\"]", &["a", "b", "c"]),
            ("[\"a\nb\", \"c\"]", &["a\nb", "c"]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
    }

    #[test]
    fn escapes_lose_only_what_they_must() {
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
