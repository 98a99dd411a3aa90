//! Secrets that must not appear in a message.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The text that replaces a secret.
const REDACTED: &str = "[key]";

/// A secret of this length or more is replaced wherever it is found, because it cannot be there by chance.
const LONG: usize = 8;
/// A shorter secret is replaced where it is a whole word, unless it consists of letters only. Still shorter ones
/// protect nothing, and to replace them would garble every message.
const SHORT: usize = 6;

/// All but the unreserved characters of RFC 3986, 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Secrets, in each of the forms in which a server may repeat them.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    forms: Vec<String>,
}

impl Secrets {
    /// Keys and passwords, in the form in which they are sent.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= LONG || is_short_secret(secret)) {
            let in_json = serde_json::json!(secret).to_string();
            let in_json = in_json.trim_matches('"');
            forms.extend([secret.to_owned(), in_json.to_owned(), in_json.replace('/', "\\/")]);
            let encoded = utf8_percent_encode(secret, RESERVED);
            // Each piece is either one escape or a run of plain characters.
            let lower_case = |piece: &str| if piece.starts_with('%') { piece.to_lowercase() } else { piece.to_owned() };
            forms.extend([encoded.to_string(), encoded.map(lower_case).collect()]);
            // A URL holds a password in its encoded form.
            let decoded = percent_decode_str(secret).decode_utf8().ok();
            forms.extend(decoded.filter(|decoded| decoded.len() >= LONG).map(Into::into));
        }
        // The longest first, so that no piece of it is left when another form is a part of it.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The text with `[key]` in place of each secret.
    pub(super) fn redact(&self, text: &str) -> String {
        self.forms.iter().filter(|form| !form.is_empty()).fold(text.to_owned(), |text, form| redacted(&text, form))
    }
}

fn is_short_secret(secret: &str) -> bool {
    secret.len() >= SHORT && !secret.chars().all(char::is_alphabetic)
}

fn redacted(text: &str, form: &str) -> String {
    if form.len() >= LONG {
        return text.replace(form, REDACTED);
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in text.match_indices(form) {
        let end = at + form.len();
        if !text[..at].ends_with(is_part) && !text[end..].starts_with(is_part) {
            out.push_str(&text[done..at]);
            out.push_str(REDACTED);
            done = end;
        }
    }
    out + &text[done..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_redacted_in_every_form() {
        let secrets = Secrets::new(["sk-1234/5678+\"x", "p%40ssw%C3%B6rd", "sk-1234"]);
        for text in [
            "sk-1234/5678+\"x",
            "{\"key\": \"sk-1234/5678+\\\"x\"}",
            "{\"key\": \"sk-1234\\/5678+\\\"x\"}",
            "https://h/?key=sk-1234%2F5678%2B%22x",
            "https://h/?key=sk-1234%2f5678%2b%22x",
            "http://user:p%40ssw%C3%B6rd@proxy:1",
            "the word p@sswörd",
            "Bearer sk-1234, no",
        ] {
            let redacted = secrets.redact(text);
            assert!(redacted.contains(REDACTED), "{text}");
            assert!(!redacted.contains("1234") && !redacted.contains("ssw"), "{text}: {redacted}");
        }
    }

    #[test]
    fn short_secrets_garble_nothing() {
        let message = "the server answered 401: a bad key sk, none or EMPTY, was sent to sk-test-server for ollama";
        for secret in ["", "a", "sk", "k", "none", "EMPTY", "ollama", "1234", "test", "sk-test"] {
            assert_eq!(Secrets::new([secret]).redact(message), message, "{secret}");
        }
        assert_eq!(Secrets::new(["sk-test"]).redact("key sk-test: no"), "key [key]: no");
        assert_eq!(Secrets::new(["sk-test"]).redact("sk-test"), "[key]");
        assert_eq!(Secrets::new(["sk-testing"]).redact("xsk-testingx"), "x[key]x");
        assert_eq!(Secrets::default().redact("x"), "x");
    }
}
