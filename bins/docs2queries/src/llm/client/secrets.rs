//! Secrets that must not appear in a message.

/// What a secret is replaced by.
const BLOT: &str = "[key]";

/// From this length on, what is found is the secret and no chance.
const LONG: usize = 8;
/// Shorter ones are looked for as words of their own, if they are no plain word; still shorter ones protect nothing, and
/// would garble every message.
const SHORT: usize = 6;

/// Secrets, in each of the forms in which a server may repeat them.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    forms: Vec<String>,
}

impl Secrets {
    /// Of keys and passwords as they are sent.
    pub(crate) fn new<'s>(secrets: impl IntoIterator<Item = &'s str>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= LONG || is_short_secret(secret)) {
            let in_json = serde_json::json!(secret).to_string();
            let in_json = in_json.trim_matches('"');
            forms.extend([secret.to_owned(), in_json.to_owned(), in_json.replace('/', "\\/")]);
            forms.extend([encoded(secret, false), encoded(secret, true)]);
            forms.extend(decoded(secret).filter(|decoded| decoded.len() >= LONG));
        }
        // The longest first: of two that overlap, no piece of the longer one shall be left.
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The text without them.
    pub(crate) fn blotted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in self.forms.iter().filter(|form| !form.is_empty()) {
            text = replaced(&text, form);
        }
        text
    }
}

fn is_short_secret(secret: &str) -> bool {
    secret.len() >= SHORT && !secret.chars().all(char::is_alphabetic)
}

fn replaced(text: &str, form: &str) -> String {
    if form.len() >= LONG {
        return text.replace(form, BLOT);
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in text.match_indices(form) {
        let end = at + form.len();
        if !text[..at].ends_with(is_part) && !text[end..].starts_with(is_part) {
            out.push_str(&text[done..at]);
            out.push_str(BLOT);
            done = end;
        }
    }
    out + &text[done..]
}

/// Percent-encoded but for unreserved characters (RFC 3986, 2.3), in capital or small digits.
fn encoded(secret: &str, small: bool) -> String {
    let is_unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let of_byte = |byte: u8| match (is_unreserved(&byte), small) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02x}"),
        (false, false) => format!("%{byte:02X}"),
    };
    secret.bytes().map(of_byte).collect()
}

/// What a percent-encoded secret stands for, as a URL holds a password.
fn decoded(secret: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = secret.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(byte));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).ok().filter(|decoded| decoded != secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_blotted_out_in_every_form() {
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
            let blotted = secrets.blotted(text);
            assert!(blotted.contains(BLOT), "{text}");
            assert!(!blotted.contains("1234") && !blotted.contains("ssw"), "{text}: {blotted}");
        }
    }

    #[test]
    fn short_secrets_garble_nothing() {
        let message = "the server answered 401: a bad key sk, none or EMPTY, was sent to sk-test-server for ollama";
        for secret in ["", "a", "sk", "k", "none", "EMPTY", "ollama", "1234", "test", "sk-test"] {
            assert_eq!(Secrets::new([secret]).blotted(message), message, "{secret}");
        }
        assert_eq!(Secrets::new(["sk-test"]).blotted("key sk-test: no"), "key [key]: no");
        assert_eq!(Secrets::new(["sk-test"]).blotted("sk-test"), "[key]");
        assert_eq!(Secrets::new(["sk-testing"]).blotted("xsk-testingx"), "x[key]x");
        assert_eq!(Secrets::default().blotted("x"), "x");
    }
}
