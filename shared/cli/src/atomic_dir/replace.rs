//! The ways to put a new directory in the place of an old one. Each leaves both as they were when it fails.
//!
//! Only the first is one step. During the others nothing has a name that a later process would take for a leftover: what
//! a power cut leaves is complete, under names that begin with the target's.

use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::entries;
use crate::disk::sync_folder;
use crate::place::folder_of;
use crate::temporary::lasting_name;

/// The new directory takes the name and the old one goes where the new one was, to be removed as a leftover.
pub(super) fn exchange(new: &Path, target: &Path) -> io::Result<()> {
    exchange_names(new, target)
}

pub(super) fn exchange_names(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE)?)
}

/// The old directory gets another name, and the new one its own.
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
                "{error}, and what was there cannot be moved back from {}: {second}",
                old.display()
            ))
        })?;
        return back(error);
    }
    // The new one is there; what is left of the old one is only untidy.
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// What is in the old directory is moved aside, within it, and what is in the new one is moved there.
pub(super) fn fill(new: &Path, target: &Path) -> io::Result<()> {
    let mut names = entries::of(target)?;
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

fn move_in(names: &[std::ffi::OsString], new: &Path, target: &Path, old: &Path) -> io::Result<()> {
    fs::create_dir(old)?;
    let result = entries::move_all(names, target, old).and_then(|()| {
        let moved = entries::of(new).and_then(|names| entries::move_all(&names, new, target));
        if moved.is_err() {
            entries::move_all(names, old, target)?;
        }
        moved
    });
    if result.is_err() {
        let _ = fs::remove_dir(old);
        return result;
    }
    sync_folder(target)
}
