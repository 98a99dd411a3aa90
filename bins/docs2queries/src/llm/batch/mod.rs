//! Requests by the file: OpenAI's Batch API, at half the price, and every other program that reads its files.
//!
//! A line's `custom_id` is the key of the request in the journal, so the same command finds the documents of the
//! results.

mod collector;
mod lines;
mod round_trip;
mod upload;

use embtune_cli::Session;
use serde_json::{Value, json};

use super::budget::Estimate;
use super::journal::{Journal, Key};
use super::model::Model;

pub(crate) use collector::collect_files;
pub(crate) use round_trip::round_trip;

/// A request whose reply is not in the journal.
pub(crate) struct BatchRequest {
    pub(crate) key: Key,
    pub(crate) body: Value,
    pub(crate) estimate: Estimate,
}

/// All requests of a run, which can be made more than once.
pub(crate) trait RequestSource {
    /// Calls `take` with each distinct request that `journal` has no reply to; without a journal, with all of them.
    /// `longest_reply` is the most tokens of a reply, if that is known. Returns how many of the requests are sent once
    /// more because the journal's reply is useless.
    ///
    /// # Errors
    /// If the requests cannot be made, or `take` fails.
    fn for_each(
        &self,
        journal: Option<&Journal>,
        longest_reply: Option<u64>,
        take: &mut dyn FnMut(BatchRequest) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64>;
}

/// The context that all batch functions share.
#[derive(Clone, Copy)]
pub(crate) struct BatchContext<'a> {
    pub(crate) session: &'a Session,
    pub(crate) journal: &'a Journal,
    pub(crate) requests: &'a dyn RequestSource,
    /// The longest line of a result file that is read, in bytes.
    pub(crate) max_line_bytes: usize,
}

/// A function that writes the line of a request in a batch file.
pub(crate) fn request_lines(model: &Model<'_>) -> impl Fn(&BatchRequest) -> String + use<> {
    let dialect = model.dialect();
    move |BatchRequest { key, body, .. }| {
        let body = dialect.translate(body);
        let line = json!({"custom_id": key.text(), "method": "POST", "url": "/v1/chat/completions", "body": body});
        format!("{line}\n")
    }
}
