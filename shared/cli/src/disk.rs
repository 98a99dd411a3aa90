//! What some file systems do not have: locks, and a way to put things on disk.

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
}
