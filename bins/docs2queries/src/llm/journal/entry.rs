//! The lines of a journal.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::cost::Cost;
use crate::llm::json;
use crate::llm::reply::Worth;

/// What the lines begin with.
const BEGINNINGS: [&[u8]; 4] = [b"{\"key\":\"", b"{\"asked\":\"", b"{\"answered\":\"", b"{\"batch\":\""];

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
    /// The file with the requests is at the server; a batch of it can cost so much.
    Uploaded(Cost),
    /// The server has made a batch of it, of this id: from here on it costs.
    Created(String),
    /// Its results are in the journal, as far as it had any.
    Collected,
    /// Its results are gone, and may have cost so much.
    Lost(Cost),
}

/// A line, without the reply itself.
#[derive(Debug)]
pub(super) enum Entry {
    /// The reply to a request, what it cost, and whether it was of any use.
    Reply { key: Key, cost: Cost, worth: Worth },
    /// A request is about to be sent, and can cost so much.
    Asked { key: Key, cost: Cost },
    /// What the latest request of this key cost stands elsewhere by now, or it cost nothing.
    Answered { key: Key },
    /// How far a batch got.
    Batch { file: String, state: BatchState },
}

impl Entry {
    /// A complete line; so many queries are what a reply should hold.
    pub(super) fn read(line: &[u8], queries: usize) -> Option<Self> {
        let entry = json::read(line)?.value;
        if let Some(file) = entry["batch"].as_str() {
            let state = match (entry["state"].as_str()?, entry["id"].as_str()) {
                ("uploaded", _) => BatchState::Uploaded(Cost::read(&entry)),
                ("created", Some(id)) => BatchState::Created(id.to_owned()),
                ("collected", _) => BatchState::Collected,
                ("lost", _) => BatchState::Lost(Cost::read(&entry)),
                _ => return None,
            };
            return Some(Self::Batch { file: file.to_owned(), state });
        }
        let key = |name: &str| entry[name].as_str().and_then(Key::read);
        if let Some(key) = key("asked") {
            return Some(Self::Asked { key, cost: Cost::read(&entry) });
        }
        if let Some(key) = key("answered") {
            return Some(Self::Answered { key });
        }
        let worth = Worth::of(entry.get("reply")?, queries);
        Some(Self::Reply { key: key("key")?, cost: Cost::read(&entry), worth })
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
pub(super) fn reply_line(key: Key, document: &str, cost: Cost, reply: &Value) -> String {
    let (tokens, usd) = cost.fields();
    line(&json!({"key": key.text(), "id": document, "tokens": tokens, "usd": usd, "reply": reply}))
}

/// The line of a request that is about to be sent.
pub(super) fn asked_line(key: Key, most: Cost) -> String {
    let (tokens, usd) = most.fields();
    line(&json!({"asked": key.text(), "tokens": tokens, "usd": usd}))
}

/// The line of a request of which nothing is open any more.
pub(super) fn answered_line(key: Key) -> String {
    line(&json!({"answered": key.text()}))
}

/// The line of a batch.
pub(super) fn batch_line(file: &str, state: &BatchState) -> String {
    let with_cost = |name: &str, cost: &Cost| {
        let (tokens, usd) = cost.fields();
        json!({"batch": file, "state": name, "tokens": tokens, "usd": usd})
    };
    line(&match state {
        BatchState::Uploaded(most) => with_cost("uploaded", most),
        BatchState::Created(id) => json!({"batch": file, "state": "created", "id": id}),
        BatchState::Collected => json!({"batch": file, "state": "collected"}),
        BatchState::Lost(cost) => with_cost("lost", cost),
    })
}

fn line(entry: &Value) -> String {
    format!("{entry}\n")
}
