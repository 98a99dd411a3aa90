//! Replies that are paid for, and requests that may have been, kept on disk.
//!
//! One JSON object a line, appended and synced before anything follows from it. Before a request is sent,
//! `{"asked": "<32 hexadecimal digits>", "tokens": [in, out], "usd": most}`; when there is a reply, and before it is used,
//! `{"key": "<the same>", "id": "<document>", "tokens": [in, out], "usd": cost, "reply": {…}}` and
//! `{"answered": "<the same>"}`, which stands alone when the request was turned away. So a run that is killed leaves
//! behind what the requests in flight can have cost. The key is a hash of the whole request, which holds document,
//! prompt, model and parameters. Lines about batches stand between. A process that is killed leaves at most lines that
//! are cut off at the end; opening the file repairs it. Lines that come at about the same time share one sync.

mod cost;
mod entry;
mod file;
mod index;

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use tokio::sync::oneshot;

pub(crate) use cost::Cost;
pub(crate) use entry::{BatchState, Key};

use file::JournalFile;

use super::budget::{Price, Spent};

/// An append-only file of replies, open in this process alone.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<JournalFile>,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

/// Lines, and where to say how writing them went.
struct Write {
    lines: Vec<String>,
    done: oneshot::Sender<Result<(), Arc<std::io::Error>>>,
}

impl Journal {
    /// Opens or creates a journal, and repairs its end.
    ///
    /// # Errors
    /// A file that is something else, is in use, or cannot be written.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::new(path.to_owned(), JournalFile::open(path)?))
    }

    /// A journal that is gone after the run.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn temporary() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        Ok(Self::new("temporary file".into(), JournalFile::empty(file)))
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

    /// The reply to a request, if it is here.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn get(&self, key: Key) -> anyhow::Result<Option<Value>> {
        self.file.get(key).with_context(|| self.path.display().to_string())
    }

    /// Whether the reply to a request is here.
    pub(crate) fn has(&self, key: Key) -> bool {
        self.file.index().reply(key).is_some()
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

    /// Puts a reply on disk that came with a batch.
    ///
    /// # Errors
    /// As `put`.
    pub(crate) async fn put_of_batch(&self, key: Key, cost: Cost, reply: &Value) -> anyhow::Result<()> {
        self.write(vec![entry::reply_line(key, "batch", cost, reply)]).await
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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::llm::budget::{Tokens, Usd};

    const COST: Cost = Cost { input: 3, output: Some(2), usd: None };

    fn key(name: &str) -> Key {
        Key::of(&name.into())
    }

    fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future).unwrap()
    }

    fn put(journal: &Journal, name: &str, reply: &Value) {
        wait(journal.asked(key(name), COST));
        wait(journal.put(key(name), "d", COST, reply));
    }

    fn put_batch(journal: &Journal, file: &str, state: &BatchState) {
        wait(journal.put_batch(file, state));
    }

    fn with_two_replies() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), None);
        put(&journal, "a", &json!({"content": "1"}));
        put(&journal, "b", &json!("2"));
        (directory, path)
    }

    #[test]
    fn replies_are_found_again() {
        let (_directory, path) = with_two_replies();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), Some(json!({"content": "1"})));
        assert_eq!(journal.get(key("b")).unwrap(), Some(json!("2")));
        assert_eq!(journal.get(key("c")).unwrap(), None);
        assert!(journal.has(key("b")) && !journal.has(key("c")));
        let price = Price::new(1.0, 2.0);
        let spent = Spent { tokens: Tokens { input: 6, output: 4 }, usd: Usd::new(14e-6) };
        assert_eq!(journal.paid(Some(price)), spent);
        assert_eq!(journal.unanswered(Some(price), 9), (Spent::default(), 0));
    }

    #[test]
    fn what_has_no_answer_stays_open_for_ever() {
        let (_directory, path) = with_two_replies();
        let journal = Journal::open(&path).unwrap();
        wait(journal.asked(key("c"), COST));
        wait(journal.asked(key("d"), COST.without_limit()));
        drop(journal);
        // The run is killed. The next one asks again, is turned away once, and gets a reply: what is open is the first's.
        let journal = Journal::open(&path).unwrap();
        wait(journal.asked(key("c"), COST));
        journal.turned_away(key("c"));
        put(&journal, "c", &json!("3"));
        // A batch's reply answers no request that was sent alone.
        wait(journal.put_of_batch(key("d"), COST, &json!("4")));
        drop(journal);
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.paid(None).tokens, Tokens { input: 12, output: 8 });
        let open = Spent { tokens: Tokens { input: 6, output: 2 + 9 }, usd: Usd::default() };
        assert_eq!(journal.unanswered(None, 9), (open, 2));
    }

    #[test]
    fn journals_of_the_first_versions_are_read() {
        let (_directory, path) = with_two_replies();
        let line = json!({"key": key("e").text(), "id": "d", "reply": "5"});
        fs::write(&path, format!("{line}\n")).unwrap();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("e")).unwrap(), Some(json!("5")));
        assert_eq!(journal.paid(None), Spent::default());
    }

    #[test]
    fn a_torn_end_is_repaired_wherever_it_is_torn() {
        let (_directory, path) = with_two_replies();
        let whole = fs::read(&path).unwrap();
        let ends: Vec<usize> = (1..=whole.len()).filter(|end| whole[end - 1] == b'\n').collect();
        // Asked, reply and answered, each twice.
        let (first, asked, reply) = (ends[2], ends[3], ends[4]);
        for length in first..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.get(key("a")).unwrap(), Some(json!({"content": "1"})));
            // A line that lacks its line feed only is a line like any other.
            assert_eq!(journal.has(key("b")), length >= reply - 1, "{length}");
            let open = u64::from(length >= asked - 1) - u64::from(length >= whole.len() - 1);
            assert_eq!(journal.unanswered(None, 0).1, open, "{length}");
            drop(journal);
            let kept = fs::read(&path).unwrap();
            assert!(whole.starts_with(&kept) && (kept.is_empty() || kept.ends_with(b"\n")), "{length}");
        }
    }

    #[test]
    fn batches_are_open_until_they_are_collected() {
        let (_directory, path) = with_two_replies();
        let journal = Journal::open(&path).unwrap();
        put_batch(&journal, "file-1", &BatchState::Uploaded);
        put_batch(&journal, "file-2", &BatchState::Uploaded);
        put_batch(&journal, "file-1", &BatchState::Created("batch-1".into()));
        put_batch(&journal, "file-2", &BatchState::Collected);
        let open = [("file-1".into(), BatchState::Created("batch-1".into()))];
        assert_eq!(journal.open_batches(), open);
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"batch\":\"file-3\",\"sta"].concat()).unwrap();
        assert_eq!(Journal::open(&path).unwrap().open_batches(), open);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other");
        for text in ["{\"_id\": \"d\", \"text\": \"t\"}\n", "a line without an end", "{\"key\":\"x\"}\n", "\n"] {
            fs::write(&path, text).unwrap();
            let error = Journal::open(&path).unwrap_err().to_string();
            assert!(error.contains("other:1: not a line of a journal"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(Journal::open(Path::new("/dev/null")).unwrap_err().to_string().contains("regular file"));
        assert!(Journal::open(directory.path()).is_err());
    }

    #[test]
    fn one_process_at_a_time() {
        let (_directory, path) = with_two_replies();
        let _journal = Journal::open(&path).unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("in use"));
    }
}
