//! The journal: a file of all replies that were paid for, and of all requests that may have been.
//!
//! Each line is a JSON object, which is appended and synced before anything acts on it. Before a request is sent,
//! `{"asked": "<32 hexadecimal digits>", "tokens": [in, out], "usd": most}` is written. When its reply has arrived, and
//! before it is used, `{"key": "<the same>", "id": "<document>", "tokens": [in, out], "usd": cost, "reply": {…}}` and
//! `{"answered": "<the same>"}` follow; the latter alone if the request cost nothing. So a killed run leaves a record
//! of what its requests in flight can have cost. The key is a hash of the whole request: document, prompt, model and
//! parameters. There are also lines about batches. A killed process leaves at most an incomplete last line, which is
//! repaired when the file is opened. Lines that are written at about the same time share one sync.
//!
//! Every reply that was paid for is kept, even one without an answer: an empty reply, a refusal, an error with token
//! counts. Whether a reply is usable is decided whenever the journal is read. A request whose reply is useless is sent
//! again by the next run, once; a second useless reply settles it.

mod cost;
mod entry;
mod file;
mod index;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use tokio::sync::oneshot;

pub(crate) use cost::Cost;
pub(crate) use entry::{BatchState, IsUsable, Key};

use file::JournalFile;
use index::FoundReply;

use super::budget::{Price, Spent};

/// An append-only file of replies, which no other process has open.
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<JournalFile>,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

/// A reply in the journal.
#[derive(Debug, PartialEq)]
pub(crate) struct JournaledReply {
    /// The server's answer.
    pub(crate) body: Value,
    /// The number of useless replies; 0 if this one is usable.
    pub(crate) tries: u32,
    /// Whether the request need not, or must not, be sent again.
    pub(crate) is_settled: bool,
}

/// Lines to write, and where to report the result.
struct Write {
    lines: Vec<String>,
    done: oneshot::Sender<Result<(), Arc<std::io::Error>>>,
}

impl Journal {
    /// Opens or creates a journal, and repairs its end; `is_usable` tells usable replies from useless ones.
    ///
    /// # Errors
    /// A file that is something else, is in use, or cannot be written.
    pub(crate) fn open(path: &Path, is_usable: Box<IsUsable>) -> anyhow::Result<Self> {
        Ok(Self::new(path.to_owned(), JournalFile::open(path, is_usable)?))
    }

    /// A journal that is deleted after the run.
    ///
    /// # Errors
    /// If no temporary file can be created.
    pub(crate) fn temporary(is_usable: Box<IsUsable>) -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot create a temporary file")?;
        Ok(Self::new("temporary file".into(), JournalFile::empty(file, is_usable)))
    }

    fn new(path: PathBuf, file: JournalFile) -> Self {
        let file = Arc::new(file);
        let (writes, queue) = mpsc::channel();
        let writer = thread::spawn({
            let file = Arc::clone(&file);
            move || write_queued(&queue, &file)
        });
        Self { path, file, writes: Some(writes), writer: Some(writer) }
    }

    /// A warning about the file for the user.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.file.lock_warning.as_deref()
    }

    /// The reply to a request: a usable one, else the latest useless one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn get(&self, key: Key) -> anyhow::Result<Option<JournaledReply>> {
        let Some(FoundReply { place, tries, is_settled }) = self.file.index().find(key) else { return Ok(None) };
        let mut line = self.file.line(place).with_context(|| self.path.display().to_string())?;
        Ok(Some(JournaledReply { body: line["reply"].take(), tries, is_settled }))
    }

    /// Whether a request must not be sent, because it has a usable reply, or too many useless ones.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.file.index().find(key).is_some_and(|found| found.is_settled)
    }

    /// The number of useless replies to a request; 0 if it has a usable one.
    pub(crate) fn tries(&self, key: Key) -> u32 {
        self.file.index().find(key).map_or(0, |found| found.tries)
    }

    /// Whether there is a usable reply to a request, or this very reply from this source, which is a batch or a result
    /// file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn holds(&self, key: Key, source: &str, reply: &Value) -> anyhow::Result<bool> {
        let (found, latest) = {
            let index = self.file.index();
            (index.find(key), index.latest_useless(key))
        };
        if found.is_some_and(|found| found.tries == 0) {
            return Ok(true);
        }
        let Some(latest) = latest else { return Ok(false) };
        let line = self.file.line(latest).with_context(|| self.path.display().to_string())?;
        // Not every reply has an id of its own: an equal reply from another source was paid for as well.
        Ok(line["id"] == source && line["reply"] == *reply)
    }

    /// The cost of all replies. Those without a known price count at this one.
    pub(crate) fn paid(&self, price: Option<Price>) -> Spent {
        self.file.index().paid.at(price, 0)
    }

    /// The highest possible cost of requests without a reply, and their number: those in flight when a run was killed,
    /// and those that timed out or broke off. A reply without a known limit counts as one of `longest_reply` tokens.
    pub(crate) fn unanswered(&self, price: Option<Price>, longest_reply: u64) -> (Spent, u64) {
        let (costs, count) = self.file.index().unanswered();
        (costs.at(price, longest_reply), count)
    }

    /// Batches whose results are not in the journal yet: the id of the file with the requests, and the state.
    pub(crate) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.file.index().open_batches()
    }

    /// The most that an open batch can cost.
    pub(crate) fn most_of_batch(&self, file: &str) -> Cost {
        self.file.index().most_of_batch(file)
    }

    /// Whether a request was sent whose reply is not in the journal.
    pub(crate) fn is_unanswered(&self, key: Key) -> bool {
        self.file.index().is_unanswered(key)
    }

    /// Records that a request is about to be sent, and the most that it can cost.
    ///
    /// # Errors
    /// If the file cannot be written; then nothing may be sent.
    pub(crate) async fn asked(&self, key: Key, most: Cost) -> anyhow::Result<()> {
        self.write(vec![entry::asked_line(key, most)]).await
    }

    /// Records that a request cost nothing. This does not wait for the disk: if the line is lost, the request counts as
    /// paid.
    pub(crate) fn cost_nothing(&self, key: Key) {
        let _ = self.send(vec![entry::answered_line(key)]);
    }

    /// Records the reply to a request that was `asked`.
    ///
    /// # Errors
    /// If the file cannot be written; it is then left as it was.
    pub(crate) async fn put(&self, key: Key, document: &str, cost: Cost, reply: &Value) -> anyhow::Result<()> {
        self.write(vec![entry::reply_line(key, document, cost, reply), entry::answered_line(key)]).await
    }

    /// Records a reply from a batch or a result file.
    ///
    /// # Errors
    /// If the file cannot be written; it is then left as it was.
    pub(crate) async fn put_batch_reply(
        &self,
        key: Key,
        source: &str,
        cost: Cost,
        reply: &Value,
    ) -> anyhow::Result<()> {
        self.write(vec![entry::reply_line(key, source, cost, reply)]).await
    }

    /// Records the state of a batch.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) async fn put_batch(&self, file: &str, state: &BatchState) -> anyhow::Result<()> {
        self.write(vec![entry::batch_line(file, state)]).await
    }

    async fn write(&self, lines: Vec<String>) -> anyhow::Result<()> {
        let name = || self.path.display().to_string();
        self.send(lines)?.await.with_context(name)?.map_err(|error| anyhow!("{}: {error}", name()))
    }

    fn send(&self, lines: Vec<String>) -> anyhow::Result<oneshot::Receiver<Result<(), Arc<std::io::Error>>>> {
        let (done, written) = oneshot::channel();
        let gone = || anyhow!("{}: the writing thread has ended", self.path.display());
        self.writes.as_ref().ok_or_else(gone)?.send(Write { lines, done }).map_err(|_| gone())?;
        Ok(written)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The writing thread ends when the queue is closed and empty.
        self.writes.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes queued lines until the queue is closed: all that are waiting go to disk with one sync.
fn write_queued(queue: &mpsc::Receiver<Write>, file: &JournalFile) {
    while let Ok(first) = queue.recv() {
        let (mut lines, mut waiting) = (Vec::new(), Vec::new());
        for write in std::iter::once(first).chain(queue.try_iter()) {
            lines.extend(write.lines);
            waiting.push(write.done);
        }
        let written = file.append(&lines).map_err(Arc::new);
        for done in waiting {
            // A caller that gave up waiting needs no result.
            let _ = done.send(written.clone());
        }
    }
}
