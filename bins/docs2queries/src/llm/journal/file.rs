//! The journal's file, which is locked, scanned once, and then only appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Lock, sync_data, sync_folder};
use serde_json::Value;

use super::entry::{Entry, IsUsable};
use super::index::{Index, LineSpan};
use crate::llm::{json, lock};

/// The file and an index of its lines; the lines themselves stay on disk.
pub(super) struct JournalFile {
    file: File,
    is_usable: Box<IsUsable>,
    /// A warning for the user if the file could not be locked.
    pub(super) lock_warning: Option<String>,
    /// It is not locked while the disk is busy, so that lookups never wait for a write.
    index: Mutex<Index>,
}

impl JournalFile {
    /// Opens or creates the file, and repairs its end.
    pub(super) fn open(path: &Path, is_usable: Box<IsUsable>) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(name)?;
        ensure!(file.metadata().with_context(name)?.is_file(), "{}: a journal must be a regular file", name());
        let in_use = "in use by another process\nhint: wait for it, or use another file";
        let lock_warning = Lock::hold(&file, &name(), in_use, "run uses this journal")?;
        let index = scan(&file, &name(), &is_usable)?;
        // The directory is synced too, so that the file itself survives a crash as its lines do.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(directory).with_context(name)?;
        Ok(Self { file, is_usable, lock_warning, index: Mutex::new(index) })
    }

    /// A journal in an empty file.
    pub(super) fn empty(file: File, is_usable: Box<IsUsable>) -> Self {
        Self { file, is_usable, lock_warning: None, index: Mutex::default() }
    }

    /// Appends complete lines and syncs them to disk; if that fails, the file is left as it was. Must not be called by
    /// two threads at once.
    pub(super) fn append(&self, lines: &[String]) -> io::Result<()> {
        let bytes = lines.concat();
        if let Err(error) = (&self.file).write_all(bytes.as_bytes()).and_then(|()| sync_data(&self.file)) {
            // If this fails too, the next run repairs the file.
            let _ = self.file.set_len(self.index().end);
            return Err(error);
        }
        for line in lines {
            if let Some(entry) = Entry::read(line.as_bytes(), &self.is_usable) {
                self.index().note(entry, line.len());
            }
        }
        Ok(())
    }

    /// Reads a line.
    pub(super) fn line(&self, place: LineSpan) -> io::Result<Value> {
        let mut line = vec![0; place.length];
        self.file.read_exact_at(&mut line, place.start)?;
        Ok(json::read(&line).ok_or(io::ErrorKind::InvalidData)?.value)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }
}

/// Reads all lines, and repairs the last one.
fn scan(mut file: &File, name: &str, is_usable: &IsUsable) -> anyhow::Result<Index> {
    let mut index = Index::default();
    let mut reader = BufReader::with_capacity(256 << 10, file.try_clone()?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).with_context(|| name.to_owned())? == 0 {
            break;
        }
        let is_whole = line.ends_with(b"\n");
        match Entry::read(&line, is_usable) {
            Some(entry) => {
                if !is_whole {
                    file.write_all(b"\n").with_context(|| name.to_owned())?;
                    line.push(b'\n');
                }
                index.note(entry, line.len());
            }
            None if !is_whole && Entry::is_partial(&line) => {
                file.set_len(index.end).with_context(|| name.to_owned())?;
            }
            None => {
                bail!("{name}:{number}: not a journal line\nhint: --journal needs a file that is used for nothing else")
            }
        }
    }
    index.run_start = index.end; // all lines so far were written by earlier runs
    Ok(index)
}
