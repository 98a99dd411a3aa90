//! Directories that appear whole or not at all.

mod replace;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind::NotADirectory, ErrorKind::NotFound};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::atomic_file::copy_permissions;
use crate::disk::{sync, sync_folder};
use crate::paths::{folder_of, resolve};
use crate::temporary::{TemporaryDir, keep_complete, remove_leftovers};
use crate::{Output, escape};

/// A directory that appears under its name, complete and on disk, when [`AtomicDir::commit`] succeeds, and not before.
///
/// Until then it is a temporary directory, removed when this is dropped. It is next to its target, or inside a target
/// whose content can be replaced but not the directory itself, such as a mount point. Symbolic links are followed.
pub struct AtomicDir {
    temporary: TemporaryDir,
    target: PathBuf,
    /// Whether the target exists and will be replaced.
    replaces: bool,
    /// Why it is not replaced in one step.
    slow: Option<String>,
    /// Parent folders that were created for the target.
    created: CreatedFolders,
}

impl AtomicDir {
    /// Starts a directory that will replace any other at `target`, and finds out, without changing anything, how that
    /// can be done. Leftovers of killed processes are removed.
    ///
    /// # Errors
    /// When the target cannot be written.
    pub fn create(target: &Path) -> io::Result<Self> {
        if target.as_os_str().is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "names no directory"));
        }
        let target = resolve(target)?;
        match fs::metadata(&target) {
            Ok(found) if found.is_dir() => Self::replacing(target),
            Ok(_) => Err(io::Error::new(NotADirectory, "is not a directory")),
            Err(error) if error.kind() == NotFound => {
                let created = CreatedFolders::above(&target)?;
                Ok(Self { temporary: beside(&target)?, replaces: false, slow: None, target, created })
            }
            Err(error) => Err(error),
        }
    }

    fn replacing(target: PathBuf) -> io::Result<Self> {
        let created = CreatedFolders::default();
        let (temporary, reason) = if replace::is_in_use(&target) {
            (None, "is the working directory of this program".to_owned())
        } else {
            match beside(&target) {
                Err(error) => (None, error.to_string()),
                Ok(temporary) => match replace::obstacle(&target, temporary.path())? {
                    None => {
                        let slow = replace::no_exchange(temporary.path())?;
                        // A directory that only some users may read must not be readable by others meanwhile.
                        let mode = fs::metadata(&target)?.mode() & 0o777;
                        fs::set_permissions(temporary.path(), Permissions::from_mode(mode | 0o700))?;
                        return Ok(Self { temporary, replaces: true, slow, target, created });
                    }
                    Some(reason) => (Some(temporary), reason),
                },
            }
        };
        drop(temporary);
        let temporary = TemporaryDir::create(&target, &target)?;
        let slow = format!("{reason}: its files are replaced one by one when all new ones are complete");
        Ok(Self { temporary, replaces: true, slow: Some(slow), target, created })
    }

    /// Whether `target` does not exist or is an empty directory. Leftovers of killed processes are removed, and entries
    /// that belong to the file system do not count.
    pub fn is_vacant(target: &Path) -> bool {
        let Ok(target) = resolve(target) else { return false };
        remove_leftovers(&target, &target);
        match replace::entries(&target) {
            Ok(entries) => entries.is_empty(),
            // A file in place of a parent folder is reported when the directory is created.
            Err(error) => !target.exists() && matches!(error.kind(), NotFound | NotADirectory),
        }
    }

    /// A message for the user if the target cannot be replaced in one step: the reason, and the fallback.
    pub fn slow(&self) -> Option<&str> {
        self.slow.as_deref()
    }

    /// Free bytes on the disk of the directory.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(self.path())
    }

    /// The folder to write files to.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Creates a file in the directory.
    ///
    /// # Errors
    /// When it exists already, or the disk is full.
    pub fn output(&self, name: &str) -> io::Result<Output> {
        let shown = escape::path(&self.target.join(name));
        match File::create_new(self.path().join(name)) {
            Ok(file) => Ok(Output::stream(shown, file)),
            Err(error) => Err(io::Error::new(error.kind(), format!("{shown}: {error}"))),
        }
    }

    /// Syncs the directory to disk and puts it in place.
    ///
    /// # Errors
    /// When the system refuses. The target is then as it was, and the directory is kept under a name that the message
    /// gives.
    pub fn commit(self) -> io::Result<()> {
        if let Err(error) = sync_all(self.path()).and_then(|()| self.put()) {
            return Err(self.keep(&error.to_string()));
        }
        let Self { target, created, .. } = self;
        created.keep();
        sync_folder(folder_of(&target))
    }

    fn put(&self) -> io::Result<()> {
        let (new, target) = (self.path(), self.target.as_path());
        if !self.replaces {
            // Fails if another process has created the target in the meantime.
            return fs::rename(new, target);
        }
        if new.parent() == Some(target) {
            return replace::fill(new, target);
        }
        copy_permissions(&File::open(new)?, &fs::metadata(target)?)?;
        replace::exchange(new, target)
            .or_else(|_| replace::rename_twice(new, target))
            .or_else(|_| replace::fill(new, target))
    }

    /// Keeps the directory under another name; the error says why and where it is.
    fn keep(self, why: &str) -> io::Error {
        let place = folder_of(self.path()).to_owned();
        let Self { temporary, target, created, .. } = self;
        created.keep();
        let kept = keep_complete(temporary.folder.keep(), &target, &place);
        io::Error::other(format!(
            "{why}: the finished directory is kept as {}\nhint: move it into place",
            escape::path(&kept)
        ))
    }
}

/// Free bytes on the disk of a folder.
///
/// # Errors
/// When the system does not tell.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let place = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let disk = statvfs(place)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn beside(target: &Path) -> io::Result<TemporaryDir> {
    TemporaryDir::create(target, folder_of(target))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write next to it: {error}")))
}

/// Syncs every file of a folder to disk.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path)? } else { sync(&File::open(&path)?)? }
    }
    sync_folder(folder)
}

/// Folders that were created, and are removed when this is dropped if they are still empty.
#[derive(Debug, Default)]
struct CreatedFolders(Vec<PathBuf>);

impl CreatedFolders {
    /// Creates the missing parent folders of a path.
    fn above(path: &Path) -> io::Result<Self> {
        let mut created = Self::default();
        let missing: Vec<&Path> =
            path.ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => created.0.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(io::Error::new(
                        error.kind(),
                        format!("cannot create {}: {error}", escape::path(folder)),
                    ));
                }
            }
        }
        Ok(created)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}
