//! The lines of a journal.

use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

use super::cost::Cost;
use crate::llm::failure::{Failure, Verdict};
use crate::llm::json;
use crate::llm::reply::Reply;

/// How lines begin.
const BEGINNINGS: [&[u8]; 4] = [b"{\"key\":\"", b"{\"asked\":\"", b"{\"answered\":\"", b"{\"batch\":\""];

/// Identifies a request: a hash of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    /// The key of a request's body.
    pub(crate) fn of(request: &Value) -> Self {
        Self(xxh3_128(request.to_string().as_bytes()))
    }

    /// Reads 32 hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }

    /// The key as 32 hexadecimal digits.
    pub(crate) fn text(self) -> String {
        format!("{:032x}", self.0)
    }
}

/// How far a batch has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchState {
    /// The file with the requests is at the server. A batch of it can cost this much.
    Uploaded(Cost),
    /// The server has created a batch with this id, and charges for it from now on.
    Created(String),
    /// Its results, if it had any, are in the journal.
    Collected,
    /// Its results are gone, and may have cost this much.
    Lost(Cost),
}

/// How useful a successful answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyQuality {
    /// It contains an answer to the request.
    Usable,
    /// It contains none, because of the document or the model: another try may help once, if at all.
    Useless,
    /// It reports an error that may be transient.
    Error,
}

/// Decides whether a reply contains an answer to its request.
pub(crate) type IsUsable = dyn Fn(&Reply) -> bool + Send + Sync;

impl ReplyQuality {
    /// The quality of a complete answer.
    pub(super) fn of(body: &Value, is_usable: &IsUsable) -> Self {
        match Failure::in_reply(body) {
            Some(failure) if failure.verdict == Verdict::Request => Self::Useless,
            Some(_) => Self::Error,
            None if is_usable(&Reply::read(body)) => Self::Usable,
            None => Self::Useless,
        }
    }
}

/// A line, without the reply itself.
#[derive(Debug)]
pub(super) enum Entry {
    /// The reply to a request, its cost, and its quality.
    Reply { key: Key, cost: Cost, quality: ReplyQuality },
    /// A request is about to be sent, and can cost this much.
    Asked { key: Key, cost: Cost },
    /// The cost of the latest request with this key is now in another line, or it cost nothing.
    Answered { key: Key },
    /// How far a batch has got.
    Batch { file: String, state: BatchState },
}

impl Entry {
    /// Reads a complete line.
    pub(super) fn read(line: &[u8], is_usable: &IsUsable) -> Option<Self> {
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
        let quality = ReplyQuality::of(entry.get("reply")?, is_usable);
        Some(Self::Reply { key: key("key")?, cost: Cost::read(&entry), quality })
    }

    /// Whether an incomplete line is the beginning of a journal line, and not that of another kind of file.
    pub(super) fn is_partial(line: &[u8]) -> bool {
        BEGINNINGS.iter().any(|beginning| {
            let length = line.len().min(beginning.len());
            line[..length] == beginning[..length]
        })
    }
}

/// The line of a reply. It contains the cost, so that a later run knows how much was spent.
pub(super) fn reply_line(key: Key, document: &str, cost: Cost, reply: &Value) -> String {
    let (tokens, usd) = cost.fields();
    line(&json!({"key": key.text(), "id": document, "tokens": tokens, "usd": usd, "reply": reply}))
}

/// The line of a request that is about to be sent.
pub(super) fn asked_line(key: Key, most: Cost) -> String {
    let (tokens, usd) = most.fields();
    line(&json!({"asked": key.text(), "tokens": tokens, "usd": usd}))
}

/// The line that settles the latest request with a key.
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
