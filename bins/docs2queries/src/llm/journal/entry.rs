//! The lines of a journal.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use crate::llm::budget::{Spent, Tokens, Usd};

/// What the lines begin with: a reply's, and a batch's.
const BEGINNINGS: [&[u8]; 2] = [b"{\"key\":\"", b"{\"batch\":\""];

/// The name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    /// The key of a request's body.
    pub(crate) fn of(request: &Value) -> Self {
        Self(xxh3_128(request.to_string().as_bytes()))
    }

    /// The key of 32 hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }

    /// The key as 32 hexadecimal digits.
    pub(crate) fn text(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// What became of an uploaded batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchState {
    /// The file with the requests is at the server.
    Uploaded,
    /// The server has made a batch of it, of this id: from here on it costs.
    Created(String),
    /// Its results are in the journal.
    Collected,
}

/// A line, without the reply itself.
#[derive(Debug)]
pub(super) enum Entry {
    Reply { key: Key, spent: Spent },
    Batch { file: String, state: BatchState },
}

impl Entry {
    /// A complete line.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let entry: Value = serde_json::from_slice(line).ok()?;
        if let Some(file) = entry["batch"].as_str() {
            let state = match (entry["state"].as_str()?, entry["id"].as_str()) {
                ("uploaded", _) => BatchState::Uploaded,
                ("created", Some(id)) => BatchState::Created(id.to_owned()),
                ("collected", _) => BatchState::Collected,
                _ => return None,
            };
            return Some(Self::Batch { file: file.to_owned(), state });
        }
        entry.get("reply")?;
        let count = |place: usize| entry["tokens"][place].as_u64().unwrap_or_default();
        let tokens = Tokens { input: count(0), output: count(1) };
        let usd = Usd::new(entry["usd"].as_f64().unwrap_or_default());
        Some(Self::Reply { key: Key::read(entry["key"].as_str()?)?, spent: Spent { tokens, usd } })
    }

    /// Whether a line that ends too early is how a line of a journal begins, and not somebody else's file.
    pub(super) fn is_begun(line: &[u8]) -> bool {
        BEGINNINGS.iter().any(|beginning| {
            let length = line.len().min(beginning.len());
            line[..length] == beginning[..length]
        })
    }
}

/// The line of a reply. What it cost stands in it, so that a later run knows what is spent.
pub(super) fn reply_line(key: Key, document: &str, spent: Spent, reply: &Value) -> String {
    let Spent { tokens, usd } = spent;
    let entry = json!({
        "key": key.text(), "id": document, "tokens": [tokens.input, tokens.output], "usd": usd.dollars(), "reply": reply,
    });
    format!("{entry}\n")
}

/// The line of a batch.
pub(super) fn batch_line(file: &str, state: &BatchState) -> String {
    let entry = match state {
        BatchState::Uploaded => json!({"batch": file, "state": "uploaded"}),
        BatchState::Created(id) => json!({"batch": file, "state": "created", "id": id}),
        BatchState::Collected => json!({"batch": file, "state": "collected"}),
    };
    format!("{entry}\n")
}
