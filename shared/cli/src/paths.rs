//! Where an output path leads.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// Symbolic links that are followed, as many as Linux follows.
pub(crate) const MOST_LINKS: usize = 40;

/// The path that symbolic links lead to, whether or not it exists yet: the output appears there, and the links stay.
///
/// # Errors
/// Links that form a loop.
pub(crate) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        if let Ok(found) = fs::canonicalize(&path) {
            return Ok(found);
        }
        if let Ok(next) = fs::read_link(&path) {
            path = folder_of(&path).join(next);
            continue;
        }
        return Ok(match (fs::canonicalize(folder_of(&path)), path.file_name()) {
            (Ok(folder), Some(name)) => folder.join(name),
            _ => path,
        });
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

/// Whether a path is a folder or inside it, after following all links; neither needs to exist.
pub fn is_inside(path: &Path, folder: &Path) -> bool {
    real(path).starts_with(real(folder))
}

/// A path after following all links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = absolute(resolve(path).unwrap_or_else(|_| path.to_owned())).unwrap_or_else(|_| path.to_owned());
    let mut missing = Vec::new();
    for above in path.ancestors() {
        if let Ok(found) = fs::canonicalize(above) {
            // A `..` after a missing folder leads out of it again.
            return missing.into_iter().rev().fold(found, |path, step| match step {
                Component::ParentDir => folder_of(&path).to_owned(),
                step => path.join(step),
            });
        }
        missing.extend(above.components().next_back());
    }
    path
}

/// The folder that contains a path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a path is a mount point, which cannot be renamed. Linux before 5.8 does not tell.
pub(crate) fn is_mount_point(path: &Path) -> bool {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Whether a path ends with a slash, and so names a folder.
pub(crate) fn names_folder(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

/// The file name of a path, shortened so that the names of temporary files next to it are not too long.
pub(crate) fn short_file_name(path: &Path) -> &OsStr {
    const LONGEST: usize = 255; // of a name, on most file systems
    const ROOM: usize = 16;
    let name = path.file_name().unwrap_or(OsStr::new("root")).as_bytes();
    OsStr::from_bytes(&name[..name.len().min(LONGEST - ROOM)])
}
