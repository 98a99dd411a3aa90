//! JSON as models write it: valid, nearly valid, or cut off.
//!
//! Valid JSON is read exactly. In addition, everything is read that people and models take for JSON: literals of Python
//! and JavaScript, comments, trailing and missing commas, typographic quotes and punctuation, mismatched brackets,
//! unescaped quotes, and a premature end. A crate for repairing JSON would not do: it returns a value without saying
//! what was dropped or guessed and where in the text the value ends, and it merges fields with the same name.

use super::json_syntax::{colon, is_closing, is_literal, is_opening, is_separator, skip_space};
use super::lenient_strings::{self, Role};

/// The maximum depth of brackets.
const DEEPEST: usize = 48;

/// A value. Fields keep their order, and fields with the same name are all kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A string.
    Text(String),
    /// A number, a literal, or a word without quotes.
    Bare(String),
    /// A string that was cut off.
    Broken,
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A value that was found in a text.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) node: Node,
    /// The byte after the value.
    pub(super) end: usize,
    /// Whether the value has an end.
    pub(super) is_whole: bool,
}

/// The list or object that begins at byte `start` of the text; none if these are brackets in prose.
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

/// The list or object that a whole text is.
pub(super) fn whole(text: &str) -> Option<Parsed> {
    let text = text.trim();
    value(text, 0).filter(|parsed| parsed.is_whole && parsed.end == text.len())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The closing brackets of the open ones.
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

    /// A list or an object; braces may contain a list, like a set in Python.
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
            let item = self.value(Role::Item)?;
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
            let key = self.value(Role::Key)?;
            self.skip(|_| false);
            let Some(colon) = colon(self.rest()) else {
                if self.open.len() == 1 && fields.is_empty() && matches!(key, Some(Node::Bare(_))) {
                    return None; // prose in braces
                }
                if !self.rest().is_empty() {
                    items.extend(key); // at the end of the text, it may be an unfinished key
                }
                self.step_from(before);
                continue;
            };
            self.at += colon;
            self.skip(|_| false);
            let has_value = self.peek().is_some_and(|next| !is_separator(next) && !is_closing(next));
            let has_value = has_value && !self.rest().starts_with("```");
            let value = if has_value { self.value(Role::Value)? } else { None };
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

    /// A value. The inner `None` is a string that was cut off before its first word, the outer one means that the value
    /// cannot be read.
    fn value(&mut self, role: Role) -> Option<Option<Node>> {
        let next = self.peek();
        if next.is_some_and(|next| matches!(next, '{' | '[' | '(')) {
            return self.brackets().map(Some);
        }
        // Python's prefixes: u"", r"", f"" and b"".
        let prefix = self.rest().strip_prefix(['u', 'r', 'f', 'b']).filter(|rest| rest.starts_with(['"', '\'']));
        if let Some(rest) = prefix {
            self.at = self.text.len() - rest.len();
        }
        if self.peek().is_some_and(is_opening) {
            return Some(self.string(role));
        }
        Some(Some(self.bare(role)))
    }

    fn string(&mut self, role: Role) -> Option<Node> {
        let found = lenient_strings::read(self.rest(), role, &self.open);
        self.at += found.length;
        self.is_whole &= found.text.is_some();
        found.text.map(Node::Text).or_else(|| (found.has_lost && role != Role::Key).then_some(Node::Broken))
    }

    /// A word without quotes.
    fn bare(&mut self, role: Role) -> Node {
        let is_end = |c: char| {
            is_separator(c) || is_closing(c) || c == '\n' || (role == Role::Key && matches!(c, ':' | '：' | '='))
        };
        let rest = self.rest();
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        Node::Bare(word.trim().to_owned())
    }

    /// Whether the innermost bracket is closed here; the end of the text closes all.
    fn is_closed(&mut self) -> bool {
        loop {
            self.skip(is_separator);
            // The end of a code block ends what is in it.
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
                return true; // the inner bracket is missing
            }
            self.at += next.len_utf8();
            if self.open.len() == 1 {
                self.is_whole = false; // a mismatched bracket
                return true;
            }
        }
    }

    /// Skips a character if nothing was read, so that every loop ends.
    fn step_from(&mut self, before: usize) {
        if self.at == before {
            self.at += self.peek().map_or(0, char::len_utf8);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// A value of serde_json in our form.
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
    fn valid_json_is_read_exactly() {
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
    fn fields_with_one_name_are_all_kept() {
        let Node::Object(fields) = read(r#"{"query": "a", "query": "b"}"#) else { panic!("no object") };
        assert_eq!(fields.len(), 2);
    }

    #[test]
    fn cut_off_values_are_recognised() {
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
    fn brackets_in_prose_are_not_a_value() {
        for text in ["[see the note]", "{x}", "(a)", "[E0308] mismatched", "{% if x %}"] {
            assert!(value(text, 0).is_none_or(|parsed| parsed.node == Node::List(Vec::new())), "{text}");
        }
        for bracket in ["[", "{\"a\":", "{", "[\"", "[{"] {
            let _ = value(&bracket.repeat(10_000), 0);
        }
    }
}
