//! Files that appear whole or not at all.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Gid, Uid, fallocate, fchown};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::disk::{sync, sync_folder};
use crate::paths::{folder_of, is_mount_point, names_folder, resolve};
use crate::{escape, temporary};

/// Bytes that are copied at a time.
const CHUNK: usize = 1 << 20;

/// A file that appears under its name, complete and on disk, when [`AtomicFile::commit`] succeeds, and not before.
///
/// Until then it is a temporary file next to its target, removed when this is dropped. It gets the permissions, and
/// where the system allows it the owner, of the file that it replaces. A file that cannot be replaced, such as a mount
/// point, is overwritten when the output is complete.
pub struct AtomicFile {
    file: NamedTempFile,
    target: PathBuf,
    /// Why the target is overwritten, and the open target.
    overwritten: Option<(String, File)>,
}

impl AtomicFile {
    /// Starts a file that will replace `path`, or the target of `path` if it is a symbolic link.
    ///
    /// # Errors
    /// When the directory cannot be written, or `path` is a directory.
    pub fn create(path: &Path) -> io::Result<Self> {
        let target = resolve(path)?;
        let older = fs::metadata(&target).ok();
        if names_folder(path) || older.as_ref().is_some_and(Metadata::is_dir) {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory"));
        }
        if target.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "names no file"));
        }
        // A file that only some users may read must not be readable by others while it is written.
        let mode = older.as_ref().map_or(0o666, |older| older.mode() & 0o777);
        let temporary = temporary::file(&target, folder_of(&target), mode);
        let obstacle = match (&temporary, &older) {
            (_, None) => None,
            (Err(error), Some(_)) => Some(format!("its folder cannot be written ({error})")),
            (Ok(_), Some(_)) => is_mount_point(&target).then(|| "it is a mount point".to_owned()),
        };
        let Some(obstacle) = obstacle else {
            let file =
                temporary.map_err(|error| io::Error::new(error.kind(), format!("cannot write next to it: {error}")))?;
            if let Some(older) = &older {
                copy_permissions(file.as_file(), older)?;
            }
            return Ok(Self { file, target, overwritten: None });
        };
        let opened = OpenOptions::new().write(true).open(&target)?;
        let file = match temporary {
            Ok(file) => file,
            Err(_) => tempfile::Builder::new().tempfile()?,
        };
        Ok(Self { file, target, overwritten: Some((obstacle, opened)) })
    }

    /// A message for the user if the file cannot be replaced in one step: the reason, and the fallback.
    pub fn slow(&self) -> Option<String> {
        let (obstacle, _) = self.overwritten.as_ref()?;
        Some(format!("{obstacle}: the file is overwritten when the output is complete"))
    }

    /// The file that will appear, after following symbolic links.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Syncs the file to disk and puts it in place.
    ///
    /// # Errors
    /// When the disk refuses. The target is then as it was; a complete file is kept under a name that the message
    /// gives.
    pub fn commit(self) -> io::Result<()> {
        let Self { file, target, overwritten } = self;
        sync(file.as_file())?;
        if let Some((_, older)) = overwritten {
            return overwrite(file, &older, &target);
        }
        let Err(error) = fs::rename(file.path(), &target) else {
            let _ = file.into_temp_path().keep(); // there is no temporary file left to remove
            return sync_folder(folder_of(&target));
        };
        // The target may have become a mount point.
        match OpenOptions::new().write(true).open(&target) {
            Ok(older) => overwrite(file, &older, &target),
            Err(_) => Err(keep(file, &target, &error)),
        }
    }
}

/// Gives a new file or directory the permissions and the owner of an older one. Only root may change the owner, and
/// others only the group to one of theirs; anything that is not allowed is left unchanged.
pub(crate) fn copy_permissions(file: &File, older: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if new.gid() != older.gid() {
        let _ = fchown(file, None, Some(Gid::from_raw(older.gid())));
    }
    if new.uid() != older.uid() {
        let _ = fchown(file, Some(Uid::from_raw(older.uid())), None);
    }
    file.set_permissions(Permissions::from_mode(older.mode() & 0o777))
}

/// Copies a file over another one, after allocating the space, so that a full disk leaves the old file unchanged.
fn overwrite(mut file: NamedTempFile, older: &File, target: &Path) -> io::Result<()> {
    match copy(file.as_file_mut(), older) {
        Ok(()) => Ok(()),
        Err(error) => Err(keep(file, target, &error)),
    }
}

fn copy(from: &mut File, mut to: &File) -> io::Result<()> {
    let length = from.metadata()?.len();
    if length > 0 {
        match fallocate(to, FallocateFlags::KEEP_SIZE, 0, length) {
            // Not every file system can allocate beforehand.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV) => {}
            Err(error) => return Err(error.into()),
        }
    }
    from.rewind()?;
    to.rewind()?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk)? {
            0 => break,
            read => to.write_all(&chunk[..read])?,
        }
    }
    to.set_len(length)?;
    sync(to)
}

/// Keeps a complete file that cannot be put in place.
fn keep(file: NamedTempFile, target: &Path, why: &io::Error) -> io::Error {
    let place = folder_of(file.path()).to_owned();
    match file.keep() {
        Err(second) => io::Error::new(why.kind(), format!("{why}, and the output cannot be kept: {second}")),
        Ok((_, kept)) => {
            let kept = temporary::keep_complete(kept, target, &place);
            io::Error::other(format!("{why}: the output is kept as {}\nhint: move it into place", escape::path(&kept)))
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, content: &str) {
        let mut file = AtomicFile::create(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file.commit().unwrap();
    }

    #[test]
    fn permissions_are_those_of_the_replaced_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for mode in [0o600, 0o640, 0o444, 0o755] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            written(&path, "new");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode, "{mode:o}");
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn links_are_followed_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("far", path("near")).unwrap();
        std::os::unix::fs::symlink("out", path("far")).unwrap();
        for content in ["first", "second"] {
            written(&path("near"), content);
            assert_eq!(fs::read_to_string(path("out")).unwrap(), content);
            assert!(path("near").is_symlink() && path("far").is_symlink());
        }
        std::os::unix::fs::symlink("round", path("round")).unwrap();
        assert!(AtomicFile::create(&path("round")).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        for (old, new) in [("a long old content", "short"), ("", "new"), ("old", "")] {
            fs::write(&path, old).unwrap();
            let (file, older) =
                (NamedTempFile::new_in(folder.path()).unwrap(), fs::File::options().write(true).open(&path));
            fs::write(file.path(), new).unwrap();
            overwrite(file, &older.unwrap(), &path).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), new);
        }
        let (file, full) =
            (NamedTempFile::new_in(folder.path()).unwrap(), fs::File::options().write(true).open("/dev/full"));
        fs::write(file.path(), "paid for").unwrap();
        let error = overwrite(file, &full.unwrap(), &path).unwrap_err().to_string();
        let kept = error.split(" is kept as ").nth(1).and_then(|rest| rest.lines().next()).unwrap();
        assert!(error.starts_with("No space left"), "{error}");
        assert_eq!(fs::read_to_string(kept).unwrap(), "paid for");
    }

    #[test]
    fn leftovers_of_killed_processes_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (other, running) = (path("other"), AtomicFile::create(&path("out")).unwrap());
        let left = [".out.abcDE1.tmp", ".out.abcDE1.tmp.x", ".out.abcDE.tmp", ".outer.abcDE1.tmp", "out.new.abcDE1"];
        left.iter().for_each(|name| fs::write(path(name), "half").unwrap());
        fs::write(&other, "").unwrap();
        std::os::unix::fs::symlink(&other, path(".out.abcDE2.tmp")).unwrap();
        written(&path("out"), "new");
        let is_there = left.map(|name| path(name).exists());
        assert_eq!(is_there, [false, true, true, true, true]);
        assert!(other.exists() && running.file.path().exists(), "files in use are kept");
    }
}
