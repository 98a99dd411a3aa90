//! Untrusted text on a terminal.
//!
//! An id, a file name or a server's reply may hold characters that control a terminal (move its cursor, set its title,
//! type on the user's behalf) or that override the reading direction of a line. They are escaped as in JSON, so an
//! escaped JSON object is still the same object. All other characters, of any script, are left as they are.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Whether a character controls the terminal: the control characters of ASCII (except the tab) and of ISO 6429, line
/// and paragraph separators, and overrides of the writing direction.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\n'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            c if !is_escaped(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            // All of them have four digits. Writing to a string cannot fail.
            c => drop(write!(escaped, "\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(escaped)
}

/// Escapes one line, including line feeds.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

/// Escapes several lines, except for line feeds.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_control(c) && c != '\n')
}

/// A path for messages.
pub(crate) fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Escapes text for a terminal.
pub(crate) struct EscapingWriter<W> {
    inner: W,
    /// The first bytes of a character that is not complete yet.
    partial: Vec<u8>,
}

impl<W: Write> EscapingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, partial: Vec::new() }
    }
}

impl<W: Write> Write for EscapingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.partial.extend(bytes);
        let whole = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(whole);
        let text = std::mem::replace(&mut self.partial, rest);
        self.inner.write_all(lines(&String::from_utf8_lossy(&text)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_control_characters_are_escaped() {
        let plain = "Straße 東京 🙂 مرحبا שלום e\u{301} \u{200d}\ta\\n";
        assert_eq!(line(plain), plain);
        assert_eq!(
            line("a\x1b[2J\x07\r\n\0b\x7f\u{9b}31m\u{202e}c\u{2066}\u{2028}"),
            "a\\u001b[2J\\u0007\\r\\n\\u0000b\\u007f\\u009b31m\\u202ec\\u2066\\u2028"
        );
        assert_eq!(lines("a\nb\r\n"), "a\nb\\r\n");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let object = serde_json::json!({"id": "\u{9b}31m\u{202e}\u{7f}\x1b"});
        let text = object.to_string();
        assert_ne!(line(&text), text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line(&text)).unwrap(), object);
    }

    #[test]
    fn characters_may_be_written_in_parts() {
        let text = "東\u{9b}京\x1b\n".as_bytes();
        for size in 1..text.len() {
            let mut writer = EscapingWriter::new(Vec::new());
            text.chunks(size).for_each(|part| writer.write_all(part).unwrap());
            assert_eq!(String::from_utf8(writer.inner).unwrap(), "東\\u009b京\\u001b\n");
        }
        let mut writer = EscapingWriter::new(Vec::new());
        writer.write_all(b"a\x9bb\xff\n").unwrap();
        assert_eq!(String::from_utf8(writer.inner).unwrap(), "a\u{fffd}b\u{fffd}\n");
    }
}
