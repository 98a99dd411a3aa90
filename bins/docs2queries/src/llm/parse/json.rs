//! JSON as models write it: valid, nearly valid, or broken off.
//!
//! All valid JSON is read as what it is. Beyond that, what is read is what people and models take for JSON: Python's and
//! JavaScript's literals, comments, trailing and missing commas, typographic quotes and marks, brackets that do not match,
//! quotes that are not escaped, and an end that comes too early. A crate for repairing JSON would answer with a value and
//! not with what it dropped or guessed, would merge the fields of one name, and would not say where in the text it stopped.

use super::strings::{self, Place};

/// Brackets within brackets that are read.
const DEEPEST: usize = 48;

/// A value. Fields keep their order, and those of one name are all there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A string.
    Text(String),
    /// A number, a literal, or a word without quotes.
    Bare(String),
    /// A string of which only the beginning is there.
    Broken,
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A value that was found in a text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// Where the text goes on, in bytes.
    pub(super) end: usize,
    /// Whether the value had an end of its own.
    pub(super) is_whole: bool,
}

/// The list or object that begins at byte `start` of the text, or nothing when only brackets of prose begin there.
pub(super) fn value(text: &str, start: usize) -> Option<Parsed> {
    let mut reader = Reader { text, at: start, open: Vec::new(), is_whole: true, is_too_deep: false };
    let node = match reader.brackets() {
        None if reader.is_too_deep => {
            reader.is_whole = false;
            Node::List(Vec::new())
        }
        node => node?,
    };
    Some(Parsed { node, end: reader.at, is_whole: reader.is_whole })
}

/// The list or object that all of a text is.
pub(super) fn whole(text: &str) -> Option<Parsed> {
    let text = text.trim();
    value(text, 0).filter(|parsed| parsed.is_whole && parsed.end == text.len())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The marks that will close the brackets that are open.
    open: Vec<char>,
    is_whole: bool,
    is_too_deep: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        self.at = self.text.len() - skip_space(self.rest(), is_skipped).len();
    }

    /// A list or an object; a `{` may hold a list, as Python's sets do.
    fn brackets(&mut self) -> Option<Node> {
        let opening = self.peek()?;
        let closing = match opening {
            '{' => '}',
            '[' => ']',
            '(' => ')',
            _ => return None,
        };
        if self.open.len() == DEEPEST {
            self.is_too_deep = true;
            return None;
        }
        self.at += 1;
        self.open.push(closing);
        let node = if opening == '{' { self.fields() } else { self.items() };
        self.open.pop();
        node
    }

    fn items(&mut self) -> Option<Node> {
        let mut items = Vec::new();
        while !self.is_closed() {
            let before = self.at;
            let item = self.value(Place::Item)?;
            if self.open.len() == 1 && items.is_empty() && matches!(&item, Some(Node::Bare(word)) if !is_literal(word))
            {
                return None; // prose in brackets
            }
            items.extend(item);
            self.step_from(before);
        }
        Some(Node::List(items))
    }

    fn fields(&mut self) -> Option<Node> {
        let mut fields = Vec::new();
        let mut items = Vec::new();
        while !self.is_closed() {
            let before = self.at;
            let key = self.value(Place::Key)?;
            self.skip(|_| false);
            let Some(colon) = colon(self.rest()) else {
                if self.open.len() == 1 && fields.is_empty() && matches!(key, Some(Node::Bare(_))) {
                    return None; // prose in braces
                }
                if !self.rest().is_empty() {
                    items.extend(key); // else it may have become the key of something
                }
                self.step_from(before);
                continue;
            };
            self.at += colon;
            self.skip(|_| false);
            let has_value = self.peek().is_some_and(|next| !is_separator(next) && !is_closing(next));
            let has_value = has_value && !self.rest().starts_with("```");
            let value = if has_value { self.value(Place::Value)? } else { None };
            if let (Some(Node::Text(key) | Node::Bare(key)), Some(value)) = (key, value) {
                fields.push((key, value));
            }
            self.step_from(before);
        }
        if fields.is_empty() {
            return Some(Node::List(items));
        }
        fields.extend(items.into_iter().map(|item| (String::new(), item)));
        Some(Node::Object(fields))
    }

    /// A value; the inner none is a string that broke off before its first word, the outer one brackets too deep.
    fn value(&mut self, place: Place) -> Option<Option<Node>> {
        let next = self.peek();
        if next.is_some_and(|next| matches!(next, '{' | '[' | '(')) {
            return self.brackets().map(Some);
        }
        // Python's u"", r"" and f"".
        let prefix = self.rest().strip_prefix(['u', 'r', 'f', 'b']).filter(|rest| rest.starts_with(['"', '\'']));
        if let Some(rest) = prefix {
            self.at = self.text.len() - rest.len();
        }
        if self.peek().is_some_and(strings::is_opening) {
            return Some(self.string(place));
        }
        Some(Some(self.bare(place)))
    }

    fn string(&mut self, place: Place) -> Option<Node> {
        let found = strings::read(self.rest(), place, &self.open);
        self.at += found.length;
        self.is_whole &= found.text.is_some();
        found.text.map(Node::Text).or_else(|| (found.has_lost && place != Place::Key).then_some(Node::Broken))
    }

    /// A word without quotes.
    fn bare(&mut self, place: Place) -> Node {
        let is_end = |c: char| {
            is_separator(c) || is_closing(c) || c == '\n' || (place == Place::Key && matches!(c, ':' | '：' | '='))
        };
        let rest = self.rest();
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        Node::Bare(word.trim().to_owned())
    }

    /// Whether the innermost bracket ends here, as it does where the text does.
    fn is_closed(&mut self) -> bool {
        loop {
            self.skip(is_separator);
            // A fence that ends ends what is in it.
            let Some(next) = self.peek().filter(|_| !self.rest().starts_with("```")) else {
                self.is_whole = false;
                return true;
            };
            if self.open.last() == Some(&next) {
                self.at += next.len_utf8();
                return true;
            }
            if !is_closing(next) {
                return false;
            }
            if self.open.contains(&next) {
                return true; // the inner one was forgotten
            }
            self.at += next.len_utf8();
            if self.open.len() == 1 {
                self.is_whole = false; // the wrong one
                return true;
            }
        }
    }

    /// Goes on by a character where nothing was read, so that every loop ends.
    fn step_from(&mut self, before: usize) {
        if self.at == before {
            self.at += self.peek().map_or(0, char::len_utf8);
        }
    }
}

/// What follows white space, comments, and whatever else is to be skipped.
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

/// How long the mark between a key and its value is, where one begins the text.
pub(super) fn colon(text: &str) -> Option<usize> {
    [":", "：", "=>", "="].iter().find(|mark| text.starts_with(**mark)).map(|mark| mark.len())
}

pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ',' | '，' | '、' | ';' | '；')
}

pub(super) fn is_closing(c: char) -> bool {
    matches!(c, ']' | '}' | ')')
}

/// Whether a bare word is a value of JSON or Python, or an ellipsis.
pub(super) fn is_literal(word: &str) -> bool {
    matches!(word, "true" | "false" | "null" | "True" | "False" | "None" | "..." | "…") || word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// What serde_json reads, in our form.
    fn node(value: &Value) -> Node {
        match value {
            Value::String(text) => Node::Text(text.clone()),
            Value::Array(items) => Node::List(items.iter().map(node).collect()),
            Value::Object(fields) if fields.is_empty() => Node::List(Vec::new()),
            Value::Object(fields) => {
                Node::Object(fields.iter().map(|(key, value)| (key.clone(), node(value))).collect())
            }
            other => Node::Bare(other.to_string()),
        }
    }

    fn read(text: &str) -> Node {
        whole(text).unwrap_or_else(|| panic!("not read to its end: {text}")).node
    }

    #[test]
    fn valid_json_is_what_it_is() {
        for text in [
            r#"{"a": ["b, \"c\"", "d: {e}", "[f]"], "g": {"h": null, "i": [1.5, true, {}]}, "\u00e9": "\ud83d\ude00"}"#,
            r##"["]", "}", "\"]", "a\\", "\\\"", "", " ", "','", "// no comment", "# 1", "```"]"##,
            r#"[["a"],[["b"]],[]]"#,
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(text), node(&value), "{text}");
            assert_eq!(read(&serde_json::to_string_pretty(&value).unwrap()), node(&value), "{text}");
        }
    }

    #[test]
    fn other_notations() {
        let expected = read(r#"{"queries": ["a", "it's", "b"]}"#);
        for text in [
            r#"{'queries': ['a', "it's", 'b']}"#,
            r#"{'queries': ['a', 'it's', 'b',]}"#,
            r#"{'queries': ['a', 'it\'s', 'b',],}"#,
            "{queries: [`a`, `it's`, `b`]}",
            "{“queries”: [“a”, “it's”, “b”]}",
            "{\"queries\"：[\"a\"，\"it's\"，\"b\"]}",
            "{\"queries\": [\"a\" \"it's\"\n\"b\"]}",
            "{\"queries\": (\"a\", \"it's\", u\"b\",)}",
            "{\"queries\": {\"a\", \"it's\", \"b\"}}",
            "{\"queries\": [\n\"a\", // one, \"two\"\n\"it's\", /* [ */\n\"b\" # three\n]}",
            "{\"queries\": [\"a\", \"it's\", \"b\"}",
        ] {
            assert_eq!(value(text, 0).unwrap().node, expected, "{text}");
        }
    }

    #[test]
    fn fields_of_one_name_are_all_there() {
        let Node::Object(fields) = read(r#"{"query": "a", "query": "b"}"#) else { panic!("no object") };
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn what_breaks_off_is_told() {
        let items = |text| match value(text, 0) {
            Some(Parsed { node: Node::List(items), is_whole: false, .. }) => items,
            other => panic!("{text}: {other:?}"),
        };
        let text = |text: &str| Node::Text(text.into());
        assert_eq!(items(r#"["a", "b", "c is not comp"#), [text("a"), text("b"), Node::Broken]);
        assert_eq!(items("[\"a\", \"b\"\n```\nAnything else?"), [text("a"), text("b")]);
        assert_eq!(items("[\"a\", \"b\n```\nAnything else?"), [text("a"), Node::Broken]);
        assert_eq!(items(r#"["a", ""#), [text("a")]);
    }

    #[test]
    fn brackets_of_prose_are_no_value() {
        for text in ["[see the note]", "{x}", "(a)", "[E0308] mismatched", "{% if x %}"] {
            assert!(value(text, 0).is_none_or(|parsed| parsed.node == Node::List(Vec::new())), "{text}");
        }
        for bracket in ["[", "{\"a\":", "{", "[\"", "[{"] {
            let _ = value(&bracket.repeat(10_000), 0);
        }
    }
}
