//! Replies that are paid for, kept on disk.
//!
//! One JSON object a line: `{"key": "<32 hexadecimal digits>", "id": "<document>", "reply": {…}}`, appended and synced
//! before the reply is used. The key is a hash of the whole request, which holds document, prompt, model and
//! parameters. A process that is killed leaves at most one line that is cut off, at the end; opening the file repairs
//! it. Of two lines with the same key the first one counts, always.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_128;

/// What every line begins with.
const BEGINNING: &[u8] = b"{\"key\":\"";

/// The name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    pub(crate) fn of(request: &Value) -> Self {
        Self(xxh3_128(request.to_string().as_bytes()))
    }
}

/// An append-only file of replies, open in this process alone.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    state: Mutex<State>,
}

/// The file and where its lines are; the replies themselves stay on disk.
#[derive(Debug)]
struct State {
    file: File,
    lines: HashMap<Key, (u64, usize)>,
    end: u64,
}

impl Journal {
    /// Opens or creates a journal, and repairs its end.
    ///
    /// # Errors
    /// A file that is something else, is in use, or cannot be written.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(name)?;
        ensure!(file.metadata().with_context(name)?.is_file(), "{}: a journal must be a regular file", name());
        if file.try_lock().is_err() {
            bail!("{}: in use by another process\nhint: wait for it, or take another file", name());
        }
        let mut state = State { file, lines: HashMap::new(), end: 0 };
        state.scan(&name())?;
        // The directory too, so that the file's name survives a crash as its lines do.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).with_context(name)?;
        Ok(Self { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The reply to a request, if it is here.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn get(&self, key: Key) -> anyhow::Result<Option<Value>> {
        self.with_state(|state| state.get(key))
    }

    /// Puts the reply to a request on disk, and returns the one that counts.
    ///
    /// That is another one when the same request was sent twice at once: this run and the next must see the same.
    ///
    /// # Errors
    /// When the disk fails or is full; the journal is then as it was.
    pub(crate) fn put(&self, key: Key, document: &str, reply: Value) -> anyhow::Result<Value> {
        self.with_state(|state| {
            let is_new = state.append(key, document, &reply)?;
            Ok(if is_new { Some(reply) } else { state.get(key)? })
        })
        .and_then(|reply| reply.context("the journal lost a line"))
    }

    fn with_state<T>(&self, action: impl FnOnce(&mut State) -> io::Result<T>) -> anyhow::Result<T> {
        // The state is whole between any two lines of `action`, so a panic elsewhere does not spoil it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        action(&mut state).with_context(|| self.path.display().to_string())
    }
}

impl State {
    fn scan(&mut self, name: &str) -> anyhow::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, self.file.try_clone()?);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).with_context(|| name.to_owned())? == 0 {
                return Ok(());
            }
            let is_whole = line.ends_with(b"\n");
            match key_of(&line) {
                Some(key) => {
                    if !is_whole {
                        self.file.write_all(b"\n").with_context(|| name.to_owned())?;
                        line.push(b'\n');
                    }
                    self.lines.entry(key).or_insert((self.end, line.len()));
                    self.end += line.len() as u64;
                }
                None if !is_whole && is_begun(&line) => {
                    self.file.set_len(self.end).with_context(|| name.to_owned())?;
                }
                None => bail!("{name}:{number}: not a line of a journal\nhint: --journal takes a file of its own"),
            }
        }
        Ok(())
    }

    fn get(&self, key: Key) -> io::Result<Option<Value>> {
        let Some(&(start, length)) = self.lines.get(&key) else { return Ok(None) };
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, start)?;
        let mut entry: Value = serde_json::from_slice(&line)?;
        Ok(Some(entry["reply"].take()))
    }

    /// Appends a line, unless there is one of this key; says whether it did.
    fn append(&mut self, key: Key, document: &str, reply: &Value) -> io::Result<bool> {
        if self.lines.contains_key(&key) {
            return Ok(false);
        }
        let line = format!("{}\n", json!({"key": format!("{:032x}", key.0), "id": document, "reply": reply}));
        if let Err(error) = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()) {
            // What got written of it is worth nothing, and the next run would repair it too.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.lines.insert(key, (self.end, line.len()));
        self.end += line.len() as u64;
        Ok(true)
    }
}

/// The key of a complete line.
fn key_of(line: &[u8]) -> Option<Key> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    entry.get("reply")?;
    u128::from_str_radix(entry["key"].as_str()?, 16).ok().map(Key)
}

/// Whether this is how a line of a journal begins, and not somebody else's file.
fn is_begun(line: &[u8]) -> bool {
    let length = line.len().min(BEGINNING.len());
    line[..length] == BEGINNING[..length]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key(name: &str) -> Key {
        Key::of(&name.into())
    }

    fn with_two_lines() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), None);
        assert_eq!(journal.put(key("a"), "d1", json!({"content": "1"})).unwrap(), json!({"content": "1"}));
        assert_eq!(journal.put(key("b"), "d2", json!("2")).unwrap(), json!("2"));
        (directory, path)
    }

    #[test]
    fn replies_are_found_again() {
        let (_directory, path) = with_two_lines();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.get(key("a")).unwrap(), Some(json!({"content": "1"})));
        assert_eq!(journal.get(key("b")).unwrap(), Some(json!("2")));
        assert_eq!(journal.get(key("c")).unwrap(), None);
    }

    #[test]
    fn the_first_reply_counts() {
        let (_directory, path) = with_two_lines();
        let journal = Journal::open(&path).unwrap();
        assert_eq!(journal.put(key("b"), "d2", json!("other")).unwrap(), json!("2"));
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
            journal.put(key("b"), "d2", json!("2")).unwrap();
            drop(journal);
            assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
        }
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
