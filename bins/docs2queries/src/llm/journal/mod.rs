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

    fn open(path: &Path) -> anyhow::Result<Journal> {
        Journal::open(path, 3)
    }

    fn wait<T>(future: impl Future<Output = anyhow::Result<T>>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future).unwrap()
    }

    fn put(journal: &Journal, name: &str, reply: &Value) {
        wait(journal.asked(key(name), COST));
        wait(journal.put(key(name), "d", COST, reply));
    }

    /// A completion with this text.
    fn completion(text: &str) -> Value {
        json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    }

    /// A completion with one query.
    fn answer(query: &str) -> Value {
        completion(&json!([query]).to_string())
    }

    /// The reply to a request, whatever it is worth.
    fn body(journal: &Journal, name: &str) -> Option<Value> {
        journal.get(key(name)).unwrap().map(|kept| kept.body)
    }

    fn put_batch(journal: &Journal, file: &str, state: &BatchState) {
        wait(journal.put_batch(file, state));
    }

    fn with_two_replies() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = open(&path).unwrap();
        assert_eq!(body(&journal, "a"), None);
        put(&journal, "a", &answer("one"));
        put(&journal, "b", &answer("two"));
        (directory, path)
    }

    #[test]
    fn replies_are_found_again() {
        let (_directory, path) = with_two_replies();
        let journal = open(&path).unwrap();
        assert_eq!(body(&journal, "a"), Some(answer("one")));
        assert_eq!(body(&journal, "b"), Some(answer("two")));
        assert_eq!(body(&journal, "c"), None);
        assert!(journal.has(key("b")) && !journal.has(key("c")));
        let price = Price::new(1.0, 2.0);
        let spent = Spent { tokens: Tokens { input: 6, output: 4 }, usd: Usd::new(14e-6) };
        assert_eq!(journal.paid(Some(price)), spent);
        assert_eq!(journal.unanswered(Some(price), 9), (Spent::default(), 0));
    }

    #[test]
    fn what_has_no_answer_stays_open_for_ever() {
        let (_directory, path) = with_two_replies();
        let journal = open(&path).unwrap();
        wait(journal.asked(key("c"), COST));
        wait(journal.asked(key("d"), COST.without_limit()));
        drop(journal);
        // The run is killed. The next one asks again, is turned away once, and gets a reply: what is open is the first's.
        let journal = open(&path).unwrap();
        wait(journal.asked(key("c"), COST));
        journal.turned_away(key("c"));
        put(&journal, "c", &answer("three"));
        // A batch's reply answers no request that was sent alone.
        wait(journal.put_of_batch(key("d"), "batch 1", COST, &answer("four")));
        drop(journal);
        let journal = open(&path).unwrap();
        assert_eq!(journal.paid(None).tokens, Tokens { input: 12, output: 8 });
        let lost = Spent { tokens: Tokens { input: 6, output: 2 + 9 }, usd: Usd::default() };
        assert_eq!(journal.unanswered(None, 9), (lost, 2));
    }

    #[test]
    fn journals_of_the_first_versions_are_read() {
        let (_directory, path) = with_two_replies();
        let line = json!({"key": key("e").text(), "id": "d", "reply": answer("five")});
        fs::write(&path, format!("{line}\n")).unwrap();
        let journal = open(&path).unwrap();
        assert_eq!(body(&journal, "e"), Some(answer("five")));
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
            let journal = open(&path).unwrap();
            assert_eq!(body(&journal, "a"), Some(answer("one")));
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
        let journal = open(&path).unwrap();
        put_batch(&journal, "file-1", &BatchState::Uploaded(COST));
        put_batch(&journal, "file-2", &BatchState::Uploaded(COST));
        put_batch(&journal, "file-1", &BatchState::Created("batch-1".into()));
        put_batch(&journal, "file-2", &BatchState::Collected);
        let under_way = [("file-1".into(), BatchState::Created("batch-1".into()))];
        assert_eq!(journal.open_batches(), under_way);
        drop(journal);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"batch\":\"file-3\",\"sta"].concat()).unwrap();
        assert_eq!(open(&path).unwrap().open_batches(), under_way);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_batch_that_is_lost_has_cost_what_it_could() {
        let (_directory, path) = with_two_replies();
        let journal = open(&path).unwrap();
        put_batch(&journal, "file-1", &BatchState::Uploaded(COST));
        put_batch(&journal, "file-1", &BatchState::Created("batch-1".into()));
        drop(journal);
        let journal = open(&path).unwrap();
        assert_eq!((journal.most_of_batch("file-1"), journal.most_of_batch("file-2")), (COST, Cost::NOTHING));
        put_batch(&journal, "file-1", &BatchState::Lost(COST));
        drop(journal);
        let journal = open(&path).unwrap();
        assert_eq!(journal.open_batches(), []);
        assert_eq!(journal.paid(None).tokens, Tokens { input: 9, output: 6 });
    }

    #[test]
    fn a_useless_reply_is_asked_for_once_more() {
        let (_directory, path) = with_two_replies();
        let useless = [json!({"choices": []}), completion("I would rather not.")];
        let found =
            |journal: &Journal| journal.get(key("c")).unwrap().map(|kept| (kept.body, kept.tries, kept.is_settled));
        let journal = open(&path).unwrap();
        put(&journal, "c", &useless[0]);
        assert_eq!(found(&journal), Some((useless[0].clone(), 1, true)), "not within the run");
        drop(journal);
        let journal = open(&path).unwrap();
        assert_eq!(found(&journal), Some((useless[0].clone(), 1, false)));
        assert_eq!((journal.has(key("c")), journal.tries(key("c")), journal.tries(key("a"))), (false, 1, 0));
        put(&journal, "c", &useless[1]);
        drop(journal);
        let journal = open(&path).unwrap();
        assert_eq!(found(&journal), Some((useless[1].clone(), 2, true)), "and not for ever");
        assert_eq!(journal.paid(None).tokens, Tokens { input: 12, output: 8 }, "all of it was paid");
        // An answer is worth more than any number of other replies, whenever it comes.
        put(&journal, "c", &answer("three"));
        put(&journal, "c", &useless[0]);
        assert_eq!(found(&journal), Some((answer("three"), 0, true)));
    }

    #[test]
    fn an_error_that_may_pass_is_no_try() {
        let (_directory, path) = with_two_replies();
        let error = json!({"choices": [{"error": {"code": 502}}], "usage": {}});
        for _ in 0..3 {
            let journal = open(&path).unwrap();
            assert_eq!((journal.has(key("c")), journal.tries(key("c")), body(&journal, "c")), (false, 0, None));
            put(&journal, "c", &error);
            let holds = |source: &str, reply: &Value| journal.holds(key("c"), source, reply).unwrap();
            assert!(holds("d", &error) && !holds("d", &json!({})) && !holds("batch 2", &error));
        }
        assert_eq!(open(&path).unwrap().paid(None).tokens, Tokens { input: 15, output: 10 });
    }

    #[test]
    fn a_journal_with_broken_characters_is_read() {
        let (_directory, path) = with_two_replies();
        let line = json!({"key": key("e").text(), "id": "d", "reply": answer("half HERE")}).to_string();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], line.replace("HERE", r"\ud83d").as_bytes(), b"\n"].concat()).unwrap();
        let journal = open(&path).unwrap();
        assert!(journal.has(key("e")) && journal.has(key("a")));
        assert_eq!(body(&journal, "e"), Some(answer("half \u{fffd}")));
    }

    #[test]
    fn other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("other");
        for text in ["{\"_id\": \"d\", \"text\": \"t\"}\n", "a line without an end", "{\"key\":\"x\"}\n", "\n"] {
            fs::write(&path, text).unwrap();
            let error = open(&path).unwrap_err().to_string();
            assert!(error.contains("other:1: not a line of a journal"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(open(Path::new("/dev/null")).unwrap_err().to_string().contains("regular file"));
        assert!(open(directory.path()).is_err());
    }

    #[test]
    fn one_process_at_a_time() {
        let (_directory, path) = with_two_replies();
        let _journal = open(&path).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("in use"));
    }
}
