//! Finding out, before the work begins, how a directory can be replaced.

use std::env;
use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::replace;
use crate::place::is_mount_point;

/// Whether this program works in a directory, and so, probably, the shell that has started it: both would then be in a
/// directory that has been removed.
pub(super) fn is_in_use(target: &Path) -> bool {
    env::current_dir().is_ok_and(|folder| folder == target)
}

/// Why a directory cannot be renamed, if it cannot.
///
/// A directory cannot be renamed onto one that is not empty. Every other obstacle is found before this one, so an
/// attempt to do it tells, and changes nothing.
///
/// # Errors
/// When `place`, a folder beside it, cannot be written.
pub(super) fn obstacle(target: &Path, place: &Path) -> io::Result<Option<String>> {
    if is_mount_point(target) {
        return Ok(Some("is a mount point".into()));
    }
    let full = place.join("probe");
    fs::create_dir_all(full.join("full"))?;
    let result = fs::rename(target, &full);
    let obstacle = match result {
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOTEMPTY | Errno::EXIST) => None,
            Some(Errno::BUSY) => Some("is a mount point, or in use".into()),
            Some(Errno::XDEV) => Some("is a directory of an overlay's lower layer, which cannot be renamed".into()),
            _ => Some(format!("cannot be renamed ({error})")),
        },
        // A file system that knows no rules: back to where it was.
        Ok(()) => {
            fs::rename(&full, target)?;
            Some("is on a file system that renames onto anything".into())
        }
    };
    if full.exists() {
        fs::remove_dir_all(&full)?;
    }
    Ok(obstacle)
}

/// What is said where two directories cannot change their names in one step.
///
/// # Errors
/// When `place` cannot be written.
pub(super) fn no_exchange(place: &Path) -> io::Result<Option<String>> {
    let [one, other] = ["one", "other"].map(|name| place.join(name));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&other))?;
    let result = replace::exchange_names(&one, &other);
    fs::remove_dir(&one).and_then(|()| fs::remove_dir(&other))?;
    Ok(result.err().map(|error| {
        format!(
            "its file system cannot exchange two directories ({error}): for a moment, between two renamings, neither the \
             old one nor the new one has this name"
        )
    }))
}
