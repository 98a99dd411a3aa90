//! The file under a journal.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Lock, sync_data, sync_folder};
use serde_json::Value;

use super::entry::Entry;
use super::index::{Index, Place};
use crate::llm::json;

/// The file and what is known of its lines; they themselves stay on disk.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    /// What a reply should hold to be of use.
    queries: usize,
    /// What is to be said where nothing keeps another process from the file.
    pub(super) unlocked: Option<String>,
    /// Free while the disk is busy: nobody waits for it who only wants to look.
    index: Mutex<Index>,
}

impl JournalFile {
    /// Opens or creates the file, and repairs its end.
    pub(super) fn open(path: &Path, queries: usize) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(name)?;
        ensure!(file.metadata().with_context(name)?.is_file(), "{}: a journal must be a regular file", name());
        let in_use = "in use by another process\nhint: wait for it, or take another file";
        let unlocked = Lock::hold(&file, &name(), in_use, "run uses this journal")?;
        let index = scan(&file, &name(), queries)?;
        // The directory too, so that the file's name survives a crash as its lines do.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(directory).with_context(name)?;
        Ok(Self { file, queries, unlocked, index: Mutex::new(index) })
    }

    /// A journal in an empty file.
    pub(super) fn empty(file: File, queries: usize) -> Self {
        Self { file, queries, unlocked: None, index: Mutex::default() }
    }

    /// Appends whole lines and puts them on disk; when that fails, the file is as it was. One thread at a time may.
    pub(super) fn append(&self, lines: &[String]) -> io::Result<()> {
        let bytes = lines.concat();
        if let Err(error) = (&self.file).write_all(bytes.as_bytes()).and_then(|()| sync_data(&self.file)) {
            // What got written of it is worth nothing, and the next run would repair it too.
            let _ = self.file.set_len(self.index().end());
            return Err(error);
        }
        for line in lines {
            if let Some(entry) = Entry::read(line.as_bytes(), self.queries) {
                self.index().note(entry, line.len());
            }
        }
        Ok(())
    }

    /// What a line says.
    pub(super) fn line(&self, place: Place) -> io::Result<Value> {
        let mut line = vec![0; place.length];
        self.file.read_exact_at(&mut line, place.start)?;
        Ok(json::read(&line).ok_or(io::ErrorKind::InvalidData)?.value)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        // The index is whole between any two calls, so a panic elsewhere does not spoil it.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all lines, and repairs the last one.
fn scan(mut file: &File, name: &str, queries: usize) -> anyhow::Result<Index> {
    let mut index = Index::default();
    let mut reader = BufReader::with_capacity(256 << 10, file.try_clone()?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).with_context(|| name.to_owned())? == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        match Entry::read(&line, queries) {
            Some(entry) => {
                if !is_whole {
                    file.write_all(b"\n").with_context(|| name.to_owned())?;
                    line.push(b'\n');
                }
                index.note(entry, line.len());
            }
            None if !is_whole && Entry::is_begun(&line) => {
                file.set_len(index.end()).with_context(|| name.to_owned())?;
            }
            None => bail!("{name}:{number}: not a line of a journal\nhint: --journal takes a file of its own"),
        }
    }
    index.open();
    Ok(index)
}
