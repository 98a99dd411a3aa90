//! Temporary files and folders, which are renamed when they are complete.
//!
//! They are called `.NAME.XXXXXX.tmp`, and their process holds a lock on each. A leftover of a killed process is
//! therefore not locked, and the next process that writes to the same name removes it.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::disk::Lock;
use crate::paths::short_file_name;

/// Random characters in a name.
const RANDOM_CHARS: usize = 6;
const SUFFIX: &str = ".tmp";
/// Attempts, because another process may remove a file as a leftover before it is locked.
const ATTEMPTS: usize = 16;

/// A folder that is removed when this is dropped.
pub(crate) struct TemporaryDir {
    pub(crate) folder: TempDir,
    _lock: File,
}

impl TemporaryDir {
    /// Creates a folder in `place`, named after `target`.
    pub(crate) fn create(target: &Path, place: &Path) -> io::Result<Self> {
        remove_leftovers(target, place);
        create(target, 0o777, |builder| {
            let folder = builder.tempdir_in(place).map_err(without_path)?;
            match File::open(folder.path()) {
                Ok(lock) if is_ours(&lock)? => Ok(Some(Self { folder, _lock: lock })),
                _ => Ok(None),
            }
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Creates a file in `place`, named after `target`, with these permissions minus the umask.
pub(crate) fn file(target: &Path, place: &Path, mode: u32) -> io::Result<NamedTempFile> {
    remove_leftovers(target, place);
    create(target, mode, |builder| {
        let file = builder.tempfile_in(place).map_err(without_path)?;
        Ok(if is_ours(file.as_file())? { Some(file) } else { None })
    })
}

/// Calls `create` with a name after that of `target` and these permissions minus the umask, until no other process has
/// removed the result as a leftover.
fn create<T>(target: &Path, mode: u32, create: impl Fn(&Builder<'_, '_>) -> io::Result<Option<T>>) -> io::Result<T> {
    let prefix = prefix(target);
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM_CHARS).permissions(Permissions::from_mode(mode));
    for _ in 0..ATTEMPTS {
        if let Some(ours) = create(&builder)? {
            return Ok(ours);
        }
    }
    Err(io::Error::other("another process removes the temporary files there"))
}

/// The error of the system, without the name of a temporary file.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|error| error.source()).and_then(|error| error.downcast_ref::<io::Error>());
    cause.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// Locks a new file. Without locks in the file system, nothing is taken for a leftover either.
fn is_ours(file: &File) -> io::Result<bool> {
    Ok(!matches!(Lock::take(file), Ok(Lock::InUse)) && file.metadata()?.nlink() > 0)
}

/// Removes leftovers of killed processes for `target` in `place`. Failing to do so is not an error.
pub(crate) fn remove_leftovers(target: &Path, place: &Path) {
    for path in temporary_paths(target, place) {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !found.is_dir() && !found.is_file() {
            continue;
        }
        // The lock is held until the leftover is removed.
        let Ok(file) = File::open(&path) else { continue };
        if matches!(Lock::take(&file), Ok(Lock::Held)) {
            let _ = if found.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Everything in `place` with the name of a temporary file or folder of `target`.
fn temporary_paths(target: &Path, place: &Path) -> Vec<PathBuf> {
    let prefix = prefix(target);
    let names = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_temporary = |name: &OsString| {
        let random =
            name.as_bytes().strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        random.is_some_and(|random| random.len() == RANDOM_CHARS && random.iter().all(u8::is_ascii_alphanumeric))
    };
    names.filter(is_temporary).map(|name| place.join(name)).collect()
}

/// A name in `place` after that of `target` that is not taken for a leftover: `NAME.KIND.XXXXXX`.
pub(crate) fn lasting_name(target: &Path, place: &Path, kind: &str) -> io::Result<PathBuf> {
    let mut prefix = short_file_name(target).to_owned();
    prefix.push(format!(".{kind}."));
    // The folder is removed again, so the name is free; if another process creates it, renaming to it fails.
    Ok(Builder::new().prefix(&prefix).rand_bytes(RANDOM_CHARS).tempdir_in(place)?.path().to_owned())
}

/// Renames a complete file or folder that cannot get the name of `target`, so that the next process does not remove it
/// as a leftover; returns its path.
pub(crate) fn keep_complete(kept: PathBuf, target: &Path, place: &Path) -> PathBuf {
    match lasting_name(target, place, "new") {
        Ok(lasting) if fs::rename(&kept, &lasting).is_ok() => lasting,
        _ => kept,
    }
}

fn prefix(target: &Path) -> OsString {
    OsString::from_vec([b".", short_file_name(target).as_bytes(), b"."].concat())
}
