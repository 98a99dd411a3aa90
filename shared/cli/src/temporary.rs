//! Files and folders on their way to a name.
//!
//! They are called `.NAME.XXXXXX.tmp`, and their process holds a lock on each. So what a killed process has left is known:
//! nobody holds it, and the next process that writes to the same name removes it.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::disk::Lock;
use crate::place::short_name;

/// Random characters of a name.
const RANDOM: usize = 6;
const SUFFIX: &str = ".tmp";
/// Times that another process may take what has just been made for a leftover.
const TRIES: usize = 16;

/// A folder that is removed when this is dropped.
pub(crate) struct TemporaryDir {
    pub(crate) folder: TempDir,
    _lock: File,
}

impl TemporaryDir {
    /// Makes a folder in `place`, called after `target`.
    pub(crate) fn create(target: &Path, place: &Path) -> io::Result<Self> {
        remove_leftovers(target, place);
        made(target, 0o777, |builder| {
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

/// Makes a file in `place`, called after `target`, with these permissions less the umask.
pub(crate) fn file(target: &Path, place: &Path, mode: u32) -> io::Result<NamedTempFile> {
    remove_leftovers(target, place);
    made(target, mode, |builder| {
        let file = builder.tempfile_in(place).map_err(without_path)?;
        Ok(if is_ours(file.as_file())? { Some(file) } else { None })
    })
}

/// What `make` makes under a name after that of `target`, with these permissions less the umask; again where another
/// process took it for a leftover.
fn made<T>(target: &Path, mode: u32, make: impl Fn(&Builder<'_, '_>) -> io::Result<Option<T>>) -> io::Result<T> {
    let prefix = prefix(target);
    let mut builder = Builder::new();
    builder.prefix(&prefix).suffix(SUFFIX).rand_bytes(RANDOM).permissions(Permissions::from_mode(mode));
    for _ in 0..TRIES {
        if let Some(ours) = make(&builder)? {
            return Ok(ours);
        }
    }
    Err(io::Error::other("another process removes what is made there"))
}

/// What the system said, without a name that nobody has given.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|error| error.source()).and_then(|error| error.downcast_ref::<io::Error>());
    cause.and_then(io::Error::raw_os_error).map_or(error, io::Error::from_raw_os_error)
}

/// Locks what was made. Where there are no locks, nobody takes anything for a leftover either.
fn is_ours(made: &File) -> io::Result<bool> {
    Ok(!matches!(Lock::take(made), Ok(Lock::InUse)) && made.metadata()?.nlink() > 0)
}

/// Removes what killed processes have left of `target` in `place`. What cannot be removed is no obstacle.
pub(crate) fn remove_leftovers(target: &Path, place: &Path) {
    for path in all(target, place) {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if !found.is_dir() && !found.is_file() {
            continue;
        }
        // The lock is held until it is gone.
        let Ok(file) = File::open(&path) else { continue };
        if matches!(Lock::take(&file), Ok(Lock::Held)) {
            let _ = if found.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

/// Everything in `place` that is called as a temporary file or folder of `target`.
fn all(target: &Path, place: &Path) -> Vec<PathBuf> {
    let prefix = prefix(target);
    let names = fs::read_dir(place).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let is_temporary = |name: &OsString| {
        let random =
            name.as_bytes().strip_prefix(prefix.as_bytes()).and_then(|rest| rest.strip_suffix(SUFFIX.as_bytes()));
        random.is_some_and(|random| random.len() == RANDOM && random.iter().all(u8::is_ascii_alphanumeric))
    };
    names.filter(is_temporary).map(|name| place.join(name)).collect()
}

/// A name in `place` after that of `target` which is nobody's leftover: `NAME.KIND.XXXXXX`.
pub(crate) fn lasting_name(target: &Path, place: &Path, kind: &str) -> io::Result<PathBuf> {
    let mut prefix = short_name(target).to_owned();
    prefix.push(format!(".{kind}."));
    // The name is free as long as nobody guesses it: what is made is removed again, and renaming to it fails where not.
    Ok(Builder::new().prefix(&prefix).rand_bytes(RANDOM).tempdir_in(place)?.path().to_owned())
}

/// Gives what is complete, but cannot get the name of `target`, one under which the next process does not take it for a
/// leftover; returns where it is then.
pub(crate) fn renamed_to_last(kept: PathBuf, target: &Path, place: &Path) -> PathBuf {
    match lasting_name(target, place, "new") {
        Ok(lasting) if fs::rename(&kept, &lasting).is_ok() => lasting,
        _ => kept,
    }
}

fn prefix(target: &Path) -> OsString {
    OsString::from_vec([b".", short_name(target).as_bytes(), b"."].concat())
}
