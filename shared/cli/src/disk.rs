//! What some file systems do not have: locks, and a way to put things on disk.

use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Whether an error says that the file system does not have this operation, and not that it has failed.
fn is_missing(error: &io::Error) -> bool {
    let missing = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOLCK];
    Errno::from_io_error(error).is_some_and(|error| missing.contains(&error))
}

/// Puts a file or a folder on disk, where its file system can be asked to.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
}

/// Puts the content of a file on disk, where its file system can be asked to.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data().or_else(|error| if is_missing(&error) { Ok(()) } else { Err(error) })
}

/// Puts the names of a folder on disk. A folder that may be written but not read cannot be asked to.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => sync(&opened?),
    }
}

/// Who has a file.
#[derive(Debug)]
pub enum Lock {
    /// This process, until the file is closed, however the process ends.
    Held,
    /// Another process.
    InUse,
    /// Nobody can say: the file system has no locks.
    Missing(io::Error),
}

impl Lock {
    /// Takes a file for this process, without waiting.
    ///
    /// # Errors
    /// What the system says, but for a file system without locks.
    pub fn take(file: &File) -> io::Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self::Held),
            Err(TryLockError::WouldBlock) => Ok(Self::InUse),
            // NFS locks for writing only what is open for writing, which no folder ever is.
            Err(TryLockError::Error(error))
                if is_missing(&error) || Errno::from_io_error(&error) == Some(Errno::BADF) =>
            {
                Ok(Self::Missing(error))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes a file, which messages call `name`, for this process. Where nobody can say whether another has it, gives the
    /// warning that `no_other` must.
    ///
    /// # Errors
    /// A file that another process has, which `in_use` says; what the system says.
    pub fn hold(file: &File, name: &str, in_use: &str, no_other: &str) -> io::Result<Option<String>> {
        let named = |what: &dyn Display| format!("{name}: {what}");
        match Self::take(file).map_err(|error| io::Error::new(error.kind(), named(&error)))? {
            Self::Held => Ok(None),
            Self::InUse => Err(io::Error::other(named(&in_use))),
            Self::Missing(error) => {
                Ok(Some(named(&format!("its file system has no locks ({error}): see to it that no other {no_other}"))))
            }
        }
    }
}
