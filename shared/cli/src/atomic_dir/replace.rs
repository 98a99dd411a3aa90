//! Replaces a directory with a new one, by the best method that the file system allows, which is tested beforehand.
//!
//! Only the exchange is one step. During the other ways, nothing has a name that a later process would take for a
//! leftover: what a power cut leaves is complete, under names that begin with the target's.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use rustix::io::Errno;

use crate::disk::{sync, sync_folder};
use crate::paths::{folder_of, is_mount_point};
use crate::temporary::lasting_name;

/// Whether a directory is the working directory of this program, and so, probably, of the shell that started it:
/// replacing it would leave both in a removed directory.
pub(super) fn is_in_use(target: &Path) -> bool {
    env::current_dir().is_ok_and(|folder| folder == target)
}

/// Why a directory cannot be renamed, if it cannot.
///
/// A directory cannot be renamed onto one that is not empty. Every other obstacle is reported before this one, so an
/// attempt shows the obstacle and changes nothing.
///
/// # Errors
/// When `place`, a folder next to it, cannot be written.
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
        // The file system allows it: rename the directory back.
        Ok(()) => {
            fs::rename(&full, target)?;
            Some("is on a file system that can rename onto a directory that is not empty".into())
        }
    };
    if full.exists() {
        fs::remove_dir_all(&full)?;
    }
    Ok(obstacle)
}

/// The message for a file system on which two directories cannot be exchanged in one step.
///
/// # Errors
/// When `place` cannot be written.
pub(super) fn no_exchange(place: &Path) -> io::Result<Option<String>> {
    let [one, other] = ["one", "other"].map(|name| place.join(name));
    fs::create_dir(&one).and_then(|()| fs::create_dir(&other))?;
    let result = exchange(&one, &other);
    fs::remove_dir(&one).and_then(|()| fs::remove_dir(&other))?;
    Ok(result.err().map(|error| {
        format!(
            "its file system cannot exchange two directories ({error}): for a moment, between two renames, neither the old \
             nor the new one has this name"
        )
    }))
}

/// Exchanges the new directory and the old one, which is then removed as a temporary directory.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

/// Renames the old directory, then the new one to its name.
pub(super) fn rename_twice(new: &Path, target: &Path) -> io::Result<()> {
    let folder = folder_of(target);
    let old = lasting_name(target, folder, "old")?;
    let lasting = lasting_name(target, folder, "new")?;
    fs::rename(new, &lasting)?;
    let back = |error| {
        fs::rename(&lasting, new)?;
        Err(error)
    };
    if let Err(error) = fs::rename(target, &old) {
        return back(error);
    }
    if let Err(error) = fs::rename(&lasting, target) {
        fs::rename(&old, target).map_err(|second| {
            io::Error::other(format!(
                "{error}, and the old directory cannot be moved back from {}: {second}",
                old.display()
            ))
        })?;
        return back(error);
    }
    // The new directory is in place; remains of the old one do no harm.
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// Moves the old content aside, within the directory, and the new content into it.
pub(super) fn fill(new: &Path, target: &Path) -> io::Result<()> {
    let mut names = entries(target)?;
    let is_inside = new.parent() == Some(target);
    names.retain(|name| !is_inside || Some(name.as_os_str()) != new.file_name());
    let lasting = lasting_name(target, folder_of(new), "new")?;
    let old = lasting_name(target, target, "old")?;
    fs::rename(new, &lasting)?;
    let moved = move_in(&names, &lasting, target, &old);
    match moved {
        Ok(()) => {
            let _ = fs::remove_dir_all(&old).and(fs::remove_dir(&lasting));
            Ok(())
        }
        Err(error) => {
            fs::rename(&lasting, new)?;
            Err(error)
        }
    }
}

fn move_in(names: &[OsString], new: &Path, target: &Path, old: &Path) -> io::Result<()> {
    fs::create_dir(old)?;
    let result = move_all(names, target, old).and_then(|()| {
        let moved = entries(new).and_then(|names| move_all(&names, new, target));
        if moved.is_err() {
            move_all(names, old, target)?;
        }
        moved
    });
    if result.is_err() {
        let _ = fs::remove_dir(old);
        return result;
    }
    sync_folder(target)
}

/// The directory that `mkfs` creates in the root of a file system.
const LOST_AND_FOUND: &str = "lost+found";

/// The names in a directory, sorted, without those that belong to the file system.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name != LOST_AND_FOUND);
    names.sort();
    Ok(names)
}

/// Moves entries from one directory into another. After an error, all are where they were, or else the error says so.
pub(super) fn move_all(names: &[OsString], from: &Path, to: &Path) -> io::Result<()> {
    for (moved, name) in names.iter().enumerate() {
        if let Err(error) = move_one(&from.join(name), &to.join(name)) {
            for name in names[..moved].iter().rev() {
                if let Err(second) = move_one(&to.join(name), &from.join(name)) {
                    return Err(io::Error::other(format!(
                        "{}: {error}, and it cannot be moved back from {}: {second}",
                        name.display(),
                        to.display()
                    )));
                }
            }
            return Err(io::Error::new(error.kind(), format!("{}: {error}", name.display())));
        }
    }
    Ok(())
}

/// Moves a file or directory, by copying where it cannot be renamed: to another file system, or out of an overlay's
/// lower layer.
fn move_one(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {}
        result => return result,
    }
    let found = fs::symlink_metadata(from)?;
    if found.is_dir() {
        fs::create_dir(to)?;
        if let Err(error) = entries(from).and_then(|names| move_all(&names, from, to)) {
            let _ = fs::remove_dir(to);
            return Err(error);
        }
        fs::set_permissions(to, found.permissions())?;
        return fs::remove_dir(from);
    }
    let copy = || {
        if found.is_symlink() {
            return std::os::unix::fs::symlink(fs::read_link(from)?, to);
        }
        fs::copy(from, to)?;
        sync(&fs::File::open(to)?)
    };
    if let Err(error) = copy() {
        let _ = fs::remove_file(to);
        return Err(error);
    }
    fs::remove_file(from)
}
