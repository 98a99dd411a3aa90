//! What is in a directory.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// What `mkfs` puts into the root of a file system.
const OF_FILE_SYSTEM: &str = "lost+found";

/// The names in a directory, in the order of the alphabet, without those that belong to the file system.
pub(super) fn of(folder: &Path) -> io::Result<Vec<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name != OF_FILE_SYSTEM);
    names.sort();
    Ok(names)
}

/// Moves names from one directory into another. After an error, all are where they were; if that is impossible, the error
/// says so.
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

/// Moves a file or a directory, part by part where it cannot be renamed: to another file system, or out of an overlay's
/// lower layer.
fn move_one(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::XDEV) => {}
        result => return result,
    }
    let found = fs::symlink_metadata(from)?;
    if found.is_dir() {
        fs::create_dir(to)?;
        if let Err(error) = of(from).and_then(|names| move_all(&names, from, to)) {
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
        crate::disk::sync(&fs::File::open(to)?)
    };
    if let Err(error) = copy() {
        let _ = fs::remove_file(to);
        return Err(error);
    }
    fs::remove_file(from)
}
