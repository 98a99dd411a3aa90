//! Directories that appear whole or not at all.

mod entries;
mod probe;
mod replace;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind::NotADirectory, ErrorKind::NotFound};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::atomic_file::take_after;
use crate::disk::{sync, sync_folder};
use crate::place::{folder_of, resolve};
use crate::temporary::{TemporaryDir, remove_leftovers, renamed_to_last};
use crate::{Output, shown};

/// A directory that appears under its name, complete and on disk, when [`AtomicDir::commit`] succeeds, and not before.
///
/// Until then it is a temporary directory, removed when this is dropped: beside its target, or inside a target that can
/// only be filled and not be replaced, such as a mount point. A target that is a symbolic link is what the link leads to.
pub struct AtomicDir {
    temporary: TemporaryDir,
    target: PathBuf,
    /// Whether there is one to be replaced.
    replaces: bool,
    /// Why that is not done in one step.
    slow: Option<String>,
    /// Folders above the target that were made for it.
    made: MadeFolders,
}

impl AtomicDir {
    /// Starts a directory that will stand at `target`, in the place of any other, and finds out, without changing
    /// anything, how that one can be replaced. What a killed process has left of it is removed.
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
                let made = MadeFolders::above(&target)?;
                Ok(Self { temporary: beside(&target)?, replaces: false, slow: None, target, made })
            }
            Err(error) => Err(error),
        }
    }

    fn replacing(target: PathBuf) -> io::Result<Self> {
        let made = MadeFolders::default();
        let (temporary, reason) = if probe::is_in_use(&target) {
            (None, "is the working directory of this program".to_owned())
        } else {
            match beside(&target) {
                Err(error) => (None, error.to_string()),
                Ok(temporary) => match probe::obstacle(&target, temporary.path())? {
                    None => {
                        let slow = probe::no_exchange(temporary.path())?;
                        // What only some may read is not to be read by others while it is being written.
                        let mode = fs::metadata(&target)?.mode() & 0o777;
                        fs::set_permissions(temporary.path(), Permissions::from_mode(mode | 0o700))?;
                        return Ok(Self { temporary, replaces: true, slow, target, made });
                    }
                    Some(reason) => (Some(temporary), reason),
                },
            }
        };
        drop(temporary);
        let temporary = TemporaryDir::create(&target, &target)?;
        let slow = format!("{reason}: its files are replaced one by one when all new ones are there");
        Ok(Self { temporary, replaces: true, slow: Some(slow), target, made })
    }

    /// Whether nothing is at `target`: no directory, or an empty one. What a killed process has left is removed, and
    /// what a file system has for itself does not count.
    pub fn is_vacant(target: &Path) -> bool {
        let Ok(target) = resolve(target) else { return false };
        remove_leftovers(&target, &target);
        match entries::of(&target) {
            Ok(entries) => entries.is_empty(),
            // A file above it is said when the directory is to be made.
            Err(error) => !target.exists() && matches!(error.kind(), NotFound | NotADirectory),
        }
    }

    /// Where the target cannot be replaced in one step: why not, and what is done instead. A message for the user.
    pub fn slow(&self) -> Option<&str> {
        self.slow.as_deref()
    }

    /// Bytes that are free where the directory is written.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(self.path())
    }

    /// Where files are to be written.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Starts a file of the directory.
    ///
    /// # Errors
    /// When it is there already, or the disk is full.
    pub fn output(&self, name: &str) -> io::Result<Output> {
        let shown = shown::path(&self.target.join(name));
        match File::create_new(self.path().join(name)) {
            Ok(file) => Ok(Output::stream(shown, file)),
            Err(error) => Err(io::Error::new(error.kind(), format!("{shown}: {error}"))),
        }
    }

    /// Puts the directory on disk and under its name.
    ///
    /// # Errors
    /// When the system refuses. The target is then as it was, and the directory is kept under a name that the message
    /// says.
    pub fn commit(self) -> io::Result<()> {
        if let Err(error) = sync_all(self.path()).and_then(|()| self.put()) {
            return Err(self.keep(&error.to_string()));
        }
        let Self { target, made, .. } = self;
        made.keep();
        sync_folder(folder_of(&target))
    }

    fn put(&self) -> io::Result<()> {
        let (new, target) = (self.path(), self.target.as_path());
        if !self.replaces {
            // Fails where somebody else has put something there in the meantime.
            return fs::rename(new, target);
        }
        if new.parent() == Some(target) {
            return replace::fill(new, target);
        }
        take_after(&File::open(new)?, &fs::metadata(target)?)?;
        replace::exchange(new, target)
            .or_else(|_| replace::rename_twice(new, target))
            .or_else(|_| replace::fill(new, target))
    }

    /// Keeps the directory, though not under its name; the error says why, and where it is.
    fn keep(self, why: &str) -> io::Error {
        let place = folder_of(self.path()).to_owned();
        let Self { temporary, target, made, .. } = self;
        made.keep();
        let kept = renamed_to_last(temporary.folder.keep(), &target, &place);
        io::Error::other(format!(
            "{why}: the finished directory is kept as {}\nhint: move it to its place",
            shown::path(&kept)
        ))
    }
}

/// Bytes that are free on the disk of a folder.
///
/// # Errors
/// When the system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let place = folder.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let disk = statvfs(place)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn beside(target: &Path) -> io::Result<TemporaryDir> {
    TemporaryDir::create(target, folder_of(target))
        .map_err(|error| io::Error::new(error.kind(), format!("cannot write beside it: {error}")))
}

/// Puts every file of a folder on disk.
fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync_all(&path)? } else { sync(&File::open(&path)?)? }
    }
    sync_folder(folder)
}

/// Folders that were made, removed when this is dropped, if they are still empty.
#[derive(Debug, Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes the folders above a path that are missing.
    fn above(path: &Path) -> io::Result<Self> {
        let mut made = Self::default();
        let missing: Vec<&Path> =
            path.ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => made.0.push(folder.to_owned()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(io::Error::new(error.kind(), format!("cannot make {}: {error}", shown::path(folder))));
                }
            }
        }
        Ok(made)
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}
