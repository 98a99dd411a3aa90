//! The end of a string whose inner quotes may not be escaped.

use super::json_syntax::{colon, is_closing, is_literal, is_opening, is_separator, skip_space, unescaped};

/// The distance, in bytes, in which signs are looked for that the string has ended.
const AHEAD: usize = 300;
/// The distance, in bytes, in which a better end is looked for after a possible one; longer than any query.
const FURTHEST: usize = 2_000;

/// The role of a string in the value around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Item,
    Key,
    Value,
}

/// A string that was found.
#[derive(Debug)]
pub(super) struct StringRead {
    /// Its content; none if it was cut off.
    pub(super) text: Option<String>,
    /// Its length in bytes, including the quotes.
    pub(super) length: usize,
    /// Whether it was cut off after some words.
    pub(super) has_lost: bool,
}

fn closes(opening: char, c: char) -> bool {
    match opening {
        '“' | '”' | '„' => matches!(c, '“' | '”' | '"'),
        '‘' | '’' => matches!(c, '‘' | '’' | '\''),
        _ => c == opening,
    }
}

/// Reads the string that begins the text; `open` are the closing brackets of the value around it.
///
/// A quote ends the string if the text after it can follow a string, and if no inner quote is open. By the same rule, a
/// string of valid JSON ends at its first unescaped quote.
pub(super) fn read(text: &str, role: Role, open: &[char]) -> StringRead {
    let opening = text.chars().next().unwrap_or('"');
    let start = opening.len_utf8();
    let ends = |end: usize, length: usize| {
        let raw = text[start..end].trim_end_matches(|c: char| length == end && (c.is_whitespace() || is_separator(c)));
        StringRead { text: Some(unescaped(raw)), length, has_lost: false }
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
            if next.starts_with(opening) && role != Role::Key {
                return ends(at, at); // the quote was forgotten
            }
        } else if closes(opening, c) {
            let is_end = may_follow(ahead(&text[after..]), role, open);
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
    StringRead { text: None, length, has_lost: text[start..length].contains(char::is_alphanumeric) }
}

/// The beginning of a text, which bounds the time that a hostile one takes.
fn ahead(text: &str) -> &str {
    &text[..text.floor_char_boundary(AHEAD)]
}

/// Whether a string may end before this text.
fn may_follow(text: &str, role: Role, open: &[char]) -> bool {
    let rest = skip_space(text, |_| false);
    let Some(next) = rest.chars().next() else { return true };
    let has_gap = rest.len() < text.len();
    if role == Role::Key && colon(rest).is_some() || has_gap && rest.starts_with("```") {
        return true;
    }
    if is_closing(next) {
        return open.len() < 2 || may_follow_brackets(&rest[next.len_utf8()..]);
    }
    if is_separator(next) {
        let rest = skip_space(&rest[next.len_utf8()..], is_separator);
        return rest.is_empty() || rest.starts_with(is_closing) || begins_next(rest, role);
    }
    // The comma is missing.
    has_gap && next != '`' && begins_next(rest, role)
}

/// Whether the next item or field begins here.
fn begins_next(text: &str, role: Role) -> bool {
    let Some(next) = text.chars().next() else { return true };
    if role != Role::Item {
        // The next key is a word, or a string followed by a colon; if this may be a set, the next string is an item.
        let end = if is_opening(next) {
            end_of_key(text, next)
        } else {
            text.find(|c: char| !c.is_alphanumeric() && c != '_')
        };
        let is_key = end.is_some_and(|end| end > 0 && colon(text[end..].trim_start()).is_some());
        return is_key || role == Role::Key && is_opening(next);
    }
    let text = text.strip_prefix(['u', 'r', 'f', 'b']).filter(|rest| rest.starts_with(['"', '\''])).unwrap_or(text);
    let next = text.chars().next().unwrap_or(next);
    let word = &text[..text.find(|c| is_separator(c) || is_closing(c)).unwrap_or(text.len())];
    is_opening(next) || matches!(next, '{' | '[') || is_literal(word.trim()) || text.starts_with("...")
}

/// The end of the string that begins the text, if its quotes are escaped.
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

/// The length of the text before the next unescaped quote or line break.
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

#[cfg(test)]
mod tests {
    use crate::parse::lenient_json::{Node, value};

    /// The items of a list.
    fn items(text: &str) -> Vec<String> {
        let Some(Node::List(items)) = value(text, 0).map(|parsed| parsed.node) else { return Vec::new() };
        let text = |item| if let Node::Text(text) = item { text } else { format!("{item:?}") };
        items.into_iter().map(text).collect()
    }

    #[test]
    fn quotes_inside_a_string() {
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
}
