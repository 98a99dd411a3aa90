//! Syncing and locking, which some file systems do not support.

use std::fmt::Display;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// Whether an error says that the file system does not support the operation, and not that it failed.
fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [Errno::NOSYS, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOLCK];
    Errno::from_io_error(error).is_some_and(|error| unsupported.contains(&error))
}

/// Syncs a file or a folder to disk, if its file system supports that.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync(file: &File) -> io::Result<()> {
    file.sync_all().or_else(|error| if is_unsupported(&error) { Ok(()) } else { Err(error) })
}

/// Syncs the content of a file to disk, if its file system supports that.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync_data(file: &File) -> io::Result<()> {
    file.sync_data().or_else(|error| if is_unsupported(&error) { Ok(()) } else { Err(error) })
}

/// Syncs the entries of a folder to disk, unless the folder may be written but not read.
///
/// # Errors
/// A disk that is full or fails.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => sync(&opened?),
    }
}

/// Who holds the lock of a file.
#[derive(Debug)]
pub enum Lock {
    /// This process, until the file is closed, however the process ends.
    Held,
    /// Another process.
    InUse,
    /// Unknown: the file system has no locks.
    Unsupported(io::Error),
}

impl Lock {
    /// Tries to lock a file for this process, without waiting.
    ///
    /// # Errors
    /// Errors of the system, except for a file system without locks.
    pub fn take(file: &File) -> io::Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self::Held),
            Err(TryLockError::WouldBlock) => Ok(Self::InUse),
            // NFS locks only files that are open for writing, which a folder never is.
            Err(TryLockError::Error(error))
                if is_unsupported(&error) || Errno::from_io_error(&error) == Some(Errno::BADF) =>
            {
                Ok(Self::Unsupported(error))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Locks a file, which messages call `name`, for this process. If the file system has no locks, returns a warning
    /// that `no_other` process must use the file.
    ///
    /// # Errors
    /// A file that another process has locked, with the message `in_use`; errors of the system.
    pub fn hold(file: &File, name: &str, in_use: &str, no_other: &str) -> io::Result<Option<String>> {
        let named = |what: &dyn Display| format!("{name}: {what}");
        match Self::take(file).map_err(|error| io::Error::new(error.kind(), named(&error)))? {
            Self::Held => Ok(None),
            Self::InUse => Err(io::Error::other(named(&in_use))),
            Self::Unsupported(error) => {
                Ok(Some(named(&format!("its file system has no locks ({error}): make sure that no other {no_other}"))))
            }
        }
    }
}
