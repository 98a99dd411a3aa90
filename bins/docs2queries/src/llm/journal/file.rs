//! The file under a journal: where its lines are, and what they add up to.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::entry::{BatchState, Entry, Key};
use crate::llm::budget::Spent;

/// The file and where its replies are; they themselves stay on disk.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    lines: HashMap<Key, (u64, usize)>,
    batches: Vec<(String, BatchState)>,
    spent: Spent,
    end: u64,
}

impl JournalFile {
    /// Opens or creates the file, and repairs its end.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(name)?;
        ensure!(file.metadata().with_context(name)?.is_file(), "{}: a journal must be a regular file", name());
        if file.try_lock().is_err() {
            bail!("{}: in use by another process\nhint: wait for it, or take another file", name());
        }
        let mut journal = Self::empty(file);
        journal.scan(&name())?;
        // The directory too, so that the file's name survives a crash as its lines do.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory).and_then(|directory| directory.sync_all()).with_context(name)?;
        Ok(journal)
    }

    /// A journal in an empty file.
    pub(super) fn empty(file: File) -> Self {
        Self { file, lines: HashMap::new(), batches: Vec::new(), spent: Spent::default(), end: 0 }
    }

    fn scan(&mut self, name: &str) -> anyhow::Result<()> {
        let mut reader = BufReader::with_capacity(256 << 10, self.file.try_clone()?);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line).with_context(|| name.to_owned())? == 0 {
                return Ok(());
            }
            let is_whole = line.ends_with(b"\n");
            match Entry::read(&line) {
                Some(entry) => {
                    if !is_whole {
                        self.file.write_all(b"\n").with_context(|| name.to_owned())?;
                        line.push(b'\n');
                    }
                    self.note(entry, line.len());
                }
                None if !is_whole && Entry::is_begun(&line) => {
                    self.file.set_len(self.end).with_context(|| name.to_owned())?;
                }
                None => bail!("{name}:{number}: not a line of a journal\nhint: --journal takes a file of its own"),
            }
        }
        Ok(())
    }

    /// Counts a line that stands at the end. Of two replies to the same request the first one counts, always.
    fn note(&mut self, entry: Entry, length: usize) {
        match entry {
            Entry::Reply { key, spent } => {
                self.spent += spent;
                self.lines.entry(key).or_insert((self.end, length));
            }
            Entry::Batch { file, state } => {
                self.batches.retain(|(other, _)| *other != file);
                if state != BatchState::Collected {
                    self.batches.push((file, state));
                }
            }
        }
        self.end += length as u64;
    }

    /// Appends whole lines and puts them on disk; when that fails, the file is as it was.
    pub(super) fn append(&mut self, lines: &[String]) -> io::Result<()> {
        let bytes = lines.concat();
        if let Err(error) = self.file.write_all(bytes.as_bytes()).and_then(|()| self.file.sync_data()) {
            // What got written of it is worth nothing, and the next run would repair it too.
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        for line in lines {
            if let Some(entry) = Entry::read(line.as_bytes()) {
                self.note(entry, line.len());
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.lines.contains_key(&key)
    }

    pub(super) fn get(&self, key: Key) -> io::Result<Option<Value>> {
        let Some(&(start, length)) = self.lines.get(&key) else { return Ok(None) };
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, start)?;
        let mut entry: Value = serde_json::from_slice(&line)?;
        Ok(Some(entry["reply"].take()))
    }

    pub(super) fn spent(&self) -> Spent {
        self.spent
    }

    pub(super) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.batches.clone()
    }
}
