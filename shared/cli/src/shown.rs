//! Text of others on a terminal.
//!
//! An id, a file's name or a server's words may hold characters that steer a terminal (move its cursor, set its title,
//! answer in the user's name) or that turn around the order in which a line is read. They are shown as JSON writes them,
//! so what is shown of a JSON object is still that object. Everything else is left as it is, in any script.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

/// Whether a character does something else than to stand in its place: the control characters of ASCII (but for the tab)
/// and of ISO 6429, line and paragraph separators, and what overrides the direction of writing.
fn steers(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\n'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&is_escaped) else { return Cow::Borrowed(text) };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for c in text[first..].chars() {
        match c {
            c if !is_escaped(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            // All of them have four digits. Writing to a string cannot fail.
            c => drop(write!(shown, "\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(shown)
}

/// One line as a terminal may have it.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, steers)
}

/// Lines as a terminal may have them.
pub(crate) fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| steers(c) && c != '\n')
}

/// A path as messages call it.
pub(crate) fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Shows a terminal what is written, line by line.
pub(crate) struct Shown<W> {
    inner: W,
    /// The beginning of a character whose end has not been written yet.
    begun: Vec<u8>,
}

impl<W: Write> Shown<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, begun: Vec::new() }
    }
}

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.extend(bytes);
        let whole = match std::str::from_utf8(&self.begun) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.begun.len(),
        };
        let rest = self.begun.split_off(whole);
        let text = std::mem::replace(&mut self.begun, rest);
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
    fn only_what_steers_is_escaped() {
        let plain = "Straße 東京 🙂 مرحبا שלום e\u{301} \u{200d}\ta\\n";
        assert_eq!(line(plain), plain);
        assert_eq!(
            line("a\x1b[2J\x07\r\n\0b\x7f\u{9b}31m\u{202e}c\u{2066}\u{2028}"),
            "a\\u001b[2J\\u0007\\r\\n\\u0000b\\u007f\\u009b31m\\u202ec\\u2066\\u2028"
        );
        assert_eq!(lines("a\nb\r\n"), "a\nb\\r\n");
    }

    #[test]
    fn what_is_shown_of_json_is_the_same_json() {
        let object = serde_json::json!({"id": "\u{9b}31m\u{202e}\u{7f}\x1b"});
        let text = object.to_string();
        assert_ne!(line(&text), text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line(&text)).unwrap(), object);
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let text = "東\u{9b}京\x1b\n".as_bytes();
        for size in 1..text.len() {
            let mut shown = Shown::new(Vec::new());
            text.chunks(size).for_each(|part| shown.write_all(part).unwrap());
            assert_eq!(String::from_utf8(shown.inner).unwrap(), "東\\u009b京\\u001b\n");
        }
        let mut shown = Shown::new(Vec::new());
        shown.write_all(b"a\x9bb\xff\n").unwrap();
        assert_eq!(String::from_utf8(shown.inner).unwrap(), "a\u{fffd}b\u{fffd}\n");
    }
}
