//! Replies that are paid for, and requests that may have been, kept on disk.
//!
//! One JSON object a line, appended and synced before anything follows from it. Before a request is sent,
//! `{"asked": "<32 hexadecimal digits>", "tokens": [in, out], "usd": most}`; when there is a reply, and before it is used,
//! `{"key": "<the same>", "id": "<document>", "tokens": [in, out], "usd": cost, "reply": {…}}` and
//! `{"answered": "<the same>"}`, which stands alone when the request was turned away. So a run that is killed leaves
//! behind what the requests in flight can have cost. The key is a hash of the whole request, which holds document,
//! prompt, model and parameters. Lines about batches stand between. A process that is killed leaves at most lines that
//! are cut off at the end; opening the file repairs it. Lines that come at about the same time share one sync.
//!
//! Everything that was paid for is kept, also what is no answer: an empty reply, a refusal, an error that came with a
//! count of tokens. Whether a line holds an answer is decided when it is read. A request that has none is sent again by
//! the next run, once; a second useless reply settles it.

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
pub(crate) use entry::{BatchState, Key};

use file::JournalFile;
use index::Found;

use super::budget::{Price, Spent};

/// An append-only file of replies, open in this process alone.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<JournalFile>,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

/// What a journal has for a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Kept {
    /// The server's answer.
    pub(crate) body: Value,
    /// How many useless replies there are; none where this is an answer.
    pub(crate) tries: u32,
    /// Whether nobody is to be asked again.
    pub(crate) is_settled: bool,
}

/// Lines, and where to say how writing them went.
struct Write {
    lines: Vec<String>,
    done: oneshot::Sender<Result<(), Arc<std::io::Error>>>,
}

impl Journal {
    /// Opens or creates a journal, and repairs its end; its replies are asked for so many queries.
    ///
    /// # Errors
    /// A file that is something else, is in use, or cannot be written.
    pub(crate) fn open(path: &Path, queries: usize) -> anyhow::Result<Self> {
        Ok(Self::new(path.to_owned(), JournalFile::open(path, queries)?))
    }

    /// A journal that is gone after the run.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn temporary(queries: usize) -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self::new("temporary file".into(), JournalFile::empty(file, queries)))
    }

    fn new(path: PathBuf, file: JournalFile) -> Self {
        let file = Arc::new(file);
        let (writes, queue) = mpsc::channel();
        let writer = thread::spawn({
            let file = Arc::clone(&file);
            move || write_all(&queue, &file)
        });
        Self { path, file, writes: Some(writes), writer: Some(writer) }
    }

    /// What the user should know of the file.
    pub(crate) fn warning(&self) -> Option<&str> {
        self.file.unlocked.as_deref()
    }

    /// What there is for a request: an answer, or else the latest reply that was none.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn get(&self, key: Key) -> anyhow::Result<Option<Kept>> {
        let Some(Found { place, tries, is_settled }) = self.file.index().find(key) else { return Ok(None) };
        let mut line = self.file.line(place).with_context(|| self.path.display().to_string())?;
        Ok(Some(Kept { body: line["reply"].take(), tries, is_settled }))
    }

    /// Whether nobody is to be asked for a reply to a request: it is here, or it was of no use too often.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.file.index().find(key).is_some_and(|found| found.is_settled)
    }

    /// How many useless replies to a request are here, and no answer.
    pub(crate) fn tries(&self, key: Key) -> u32 {
        self.file.index().find(key).map_or(0, |found| found.tries)
    }

    /// Whether there is an answer to a request, or this very reply from this source, a batch or a file of results.
    ///
    /// # Errors
    /// When the disk fails.
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
        // Not every reply has a name of its own: another source may have the same words, and a price of its own.
        Ok(line["id"] == source && line["reply"] == *reply)
    }

    /// What all its replies have cost. What was paid without a known price counts at this one.
    pub(crate) fn paid(&self, price: Option<Price>) -> Spent {
        self.file.index().paid().at(price, 0)
    }

    /// What requests without an answer can have cost, and their number: those in flight when a run was killed, and those
    /// that timed out or broke off. A reply of which no limit was known counts as one of `longest_reply` tokens.
    pub(crate) fn unanswered(&self, price: Option<Price>, longest_reply: u64) -> (Spent, u64) {
        let (costs, count) = self.file.index().unanswered();
        (costs.at(price, longest_reply), count)
    }

    /// Batches whose results are not here yet: the id of the file with the requests, and how far it got.
    pub(crate) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.file.index().open_batches()
    }

    /// The most that an open batch can cost.
    pub(crate) fn most_of_batch(&self, file: &str) -> Cost {
        self.file.index().most_of_batch(file)
    }

    /// Whether a request was sent, or sent in a batch, of which nothing more is known.
    pub(crate) fn is_unanswered(&self, key: Key) -> bool {
        self.file.index().is_unanswered(key)
    }

    /// Puts on disk that a request is about to be sent, and the most that it can cost.
    ///
    /// # Errors
    /// When the disk fails or is full: nothing may be sent then.
    pub(crate) async fn asked(&self, key: Key, most: Cost) -> anyhow::Result<()> {
        self.write(vec![entry::asked_line(key, most)]).await
    }

    /// Notes that a request cost nothing. Nobody waits for the disk: if the line is lost, the request counts as paid.
    pub(crate) fn turned_away(&self, key: Key) {
        let _ = self.send(vec![entry::answered_line(key)]);
    }

    /// Puts the reply to a request that was `asked` on disk.
    ///
    /// # Errors
    /// When the disk fails or is full; the journal is then as it was.
    pub(crate) async fn put(&self, key: Key, document: &str, cost: Cost, reply: &Value) -> anyhow::Result<()> {
        self.write(vec![entry::reply_line(key, document, cost, reply), entry::answered_line(key)]).await
    }

    /// Puts a reply on disk that came with a batch, or in a file of results.
    ///
    /// # Errors
    /// As `put`.
    pub(crate) async fn put_of_batch(&self, key: Key, source: &str, cost: Cost, reply: &Value) -> anyhow::Result<()> {
        self.write(vec![entry::reply_line(key, source, cost, reply)]).await
    }

    /// Puts on disk how far a batch got.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub(crate) async fn put_batch(&self, file: &str, state: &BatchState) -> anyhow::Result<()> {
        self.write(vec![entry::batch_line(file, state)]).await
    }

    async fn write(&self, lines: Vec<String>) -> anyhow::Result<()> {
        let name = || self.path.display().to_string();
        self.send(lines)?.await.with_context(name)?.map_err(|error| anyhow!("{}: {error}", name()))
    }

    fn send(&self, lines: Vec<String>) -> anyhow::Result<oneshot::Receiver<Result<(), Arc<std::io::Error>>>> {
        let (done, written) = oneshot::channel();
        let gone = || anyhow!("{}: its writer is gone", self.path.display());
        self.writes.as_ref().ok_or_else(gone)?.send(Write { lines, done }).map_err(|_| gone())?;
        Ok(written)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The writer ends when nobody can send it anything more.
        self.writes.take();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes what is in the queue, as much at once as is there.
fn write_all(queue: &mpsc::Receiver<Write>, file: &JournalFile) {
    while let Ok(first) = queue.recv() {
        let (mut lines, mut waiting) = (Vec::new(), Vec::new());
        for write in std::iter::once(first).chain(queue.try_iter()) {
            lines.extend(write.lines);
            waiting.push(write.done);
        }
        let written = file.append(&lines).map_err(Arc::new);
        for done in waiting {
            // Whoever gave up waiting needs no answer.
            let _ = done.send(written.clone());
        }
    }
}
