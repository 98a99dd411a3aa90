//! Directories that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with, statvfs};
use tempfile::TempDir;

/// A directory that appears under its name, complete and on disk, when [`AtomicDir::commit`] succeeds, and not before.
///
/// Until then it is a temporary directory beside its target, removed when this is dropped.
pub struct AtomicDir {
    /// After [`AtomicDir::commit`] it holds the older directory, if there was one.
    temporary: TempDir,
    target: PathBuf,
}

impl AtomicDir {
    /// Starts a directory that will stand at `target`, in the place of any other.
    ///
    /// # Errors
    /// When the folder around it cannot be written.
    pub fn create(target: &Path) -> io::Result<Self> {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let temporary = tempfile::Builder::new()
            .prefix(&format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy()))
            .suffix(".tmp")
            .permissions(fs::Permissions::from_mode(0o777)) // less the umask
            .tempdir_in(parent)?;
        Ok(Self { temporary, target: target.to_owned() })
    }

    /// Bytes that are free where `target` would be: in the first folder above it that is there already.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_bytes(target: &Path) -> io::Result<u64> {
        let place = target.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(Path::new("."));
        let disk = statvfs(place)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Where files are to be written.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Puts the directory on disk and under its name.
    ///
    /// # Errors
    /// When the disk refuses; the target is then as it was.
    pub fn commit(self) -> io::Result<()> {
        sync(self.path())?;
        if !self.target.exists() {
            return fs::rename(self.temporary.keep(), &self.target);
        }
        // In one step the new directory takes the name and the old one goes where the new one was, to be removed.
        renameat_with(CWD, self.path(), CWD, &self.target, RenameFlags::EXCHANGE)?;
        self.temporary.close()
    }
}

/// Puts every file of a folder on disk.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { sync(&path)? } else { File::open(&path)?.sync_all()? }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let fill = |content: &str| {
            let directory = AtomicDir::create(&target).unwrap();
            fs::write(directory.path().join("file"), content).unwrap();
            directory
        };
        drop(fill("half"));
        assert!(!target.exists());
        for content in ["first", "second"] {
            fill(content).commit().unwrap();
            assert_eq!(fs::read_to_string(target.join("file")).unwrap(), content);
        }
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no temporary directory is left");
    }
}
