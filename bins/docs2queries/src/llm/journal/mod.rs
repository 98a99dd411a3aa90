//! Replies that are paid for, kept on disk.
//!
//! One JSON object a line, appended and synced before the reply is used:
//! `{"key": "<32 hexadecimal digits>", "id": "<document>", "tokens": [in, out], "usd": cost, "reply": {…}}`. The key is
//! a hash of the whole request, which holds document, prompt, model and parameters. Lines about batches stand between.
//! A process that is killed leaves at most lines that are cut off at the end; opening the file repairs it. Replies that
//! come at about the same time share one sync.

mod entry;
mod file;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use tokio::sync::oneshot;

pub(crate) use entry::{BatchState, Key};

use file::JournalFile;

use super::budget::Spent;

/// An append-only file of replies, open in this process alone.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: Arc<Mutex<JournalFile>>,
    writes: Option<mpsc::Sender<Write>>,
    writer: Option<JoinHandle<()>>,
}

/// A line, and where to say how writing it went.
struct Write {
    key: Option<Key>,
    line: String,
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
        let file = Arc::new(Mutex::new(file));
        let (writes, queue) = mpsc::channel();
        let writer = thread::spawn({
            let file = Arc::clone(&file);
            move || write_all(&queue, &file)
        });
        Self { path, file, writes: Some(writes), writer: Some(writer) }
    }

    /// The reply to a request, if it is here.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn get(&self, key: Key) -> anyhow::Result<Option<Value>> {
        lock(&self.file).get(key).with_context(|| self.path.display().to_string())
    }

    /// Whether the reply to a request is here.
    pub(crate) fn has(&self, key: Key) -> bool {
        lock(&self.file).has(key)
    }

    /// What all its replies have cost.
    pub(crate) fn spent(&self) -> Spent {
        lock(&self.file).spent()
    }

    /// Batches whose results are not here yet: the id of the file with the requests, and how far it got.
    pub(crate) fn open_batches(&self) -> Vec<(String, BatchState)> {
        lock(&self.file).open_batches()
    }

    /// Puts the reply to a request on disk, and returns the one that counts.
    ///
    /// That is another one when the same request was sent twice at once: this run and the next must see the same.
    ///
    /// # Errors
    /// When the disk fails or is full; the journal is then as it was.
    pub(crate) async fn put(&self, key: Key, document: &str, spent: Spent, reply: &Value) -> anyhow::Result<Value> {
        self.write(Some(key), entry::reply_line(key, document, spent, reply)).await?;
        self.get(key)?.context("the journal lost a line")
    }

    /// Puts on disk how far a batch got.
    ///
    /// # Errors
    /// When the disk fails or is full.
    pub(crate) async fn put_batch(&self, file: &str, state: &BatchState) -> anyhow::Result<()> {
        self.write(None, entry::batch_line(file, state)).await
    }

    async fn write(&self, key: Option<Key>, line: String) -> anyhow::Result<()> {
        let (done, written) = oneshot::channel();
        let name = || self.path.display().to_string();
        let writes = self.writes.as_ref().with_context(name)?;
        writes.send(Write { key, line, done }).map_err(|_| anyhow!("{}: its writer is gone", name()))?;
        written.await.with_context(name)?.map_err(|error| anyhow!("{}: {error}", name()))
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
fn write_all(queue: &mpsc::Receiver<Write>, file: &Mutex<JournalFile>) {
    while let Ok(first) = queue.recv() {
        let (mut lines, mut waiting) = (Vec::new(), Vec::new());
        let mut keys = Vec::new();
        for Write { key, line, done } in std::iter::once(first).chain(queue.try_iter()) {
            let is_new = key.is_none_or(|key| !lock(file).has(key) && !keys.contains(&key));
            if is_new {
                lines.push(line);
                keys.extend(key);
            }
            waiting.push(done);
        }
        let written = lock(file).append(&lines).map_err(Arc::new);
        for done in waiting {
            // Whoever gave up waiting needs no answer.
            let _ = done.send(written.clone());
        }
    }
}

fn lock(file: &Mutex<JournalFile>) -> MutexGuard<'_, JournalFile> {
    // The file is whole between any two calls, so a panic elsewhere does not spoil it.
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::llm::budget::{Tokens, Usd};

    const COST: f64 = 0.25e-6;

    fn key(name: &str) -> Key {
        Key::of(&name.into())
    }

    fn put(journal: &Journal, name: &str, reply: &Value) -> Value {
        let spent = Spent { tokens: Tokens { input: 3, output: 2 }, usd: Usd::new(COST) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(journal.put(key(name), "d", spent, reply)).unwrap()
    }

    fn put_batch(journal: &Journal, file: &str, state: &BatchState) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(journal.put_batch(file, state)).unwrap();
    }

    fn with_two_lines() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), None);
        assert_eq!(put(&journal, "a", &json!({"content": "1"})), json!({"content": "1"}));
        assert_eq!(put(&journal, "b", &json!("2")), json!("2"));
        (directory, path)
    }

    #[test]
    fn replies_are_found_again() {
        let (_directory, path) = with_two_lines();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), Some(json!({"content": "1"})));
        assert_eq!(journal.get(key("b")).unwrap(), Some(json!("2")));
        assert_eq!(journal.get(key("c")).unwrap(), None);
        assert!(journal.has(key("b")) && !journal.has(key("c")));
        let spent = Spent { tokens: Tokens { input: 6, output: 4 }, usd: Usd::new(2.0 * COST) };
        assert_eq!(journal.spent(), spent);
    }

    #[test]
    fn the_first_reply_counts() {
        let (_directory, path) = with_two_lines();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(put(&journal, "b", &json!("other")), json!("2"));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_torn_end_is_repaired_wherever_it_is_torn() {
        let (_directory, path) = with_two_lines();
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for length in first..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let journal = Journal::open(&path).unwrap();
            assert_eq!(journal.get(key("a")).unwrap(), Some(json!({"content": "1"})));
            // A line that lacks its line feed only is a reply like any other.
            let is_kept = length >= whole.len() - 1;
            assert_eq!(journal.get(key("b")).unwrap().is_some(), is_kept, "{length}");
            put(&journal, "b", &json!("2"));
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
        }
    }

    #[test]
    fn batches_are_open_until_they_are_collected() {
        let (_directory, path) = with_two_lines();
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
        let (_directory, path) = with_two_lines();
        let _journal = Journal::open(&path).unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("in use"));
    }
}
