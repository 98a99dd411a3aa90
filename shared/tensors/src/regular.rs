//! Opens regular files, which can be mapped or read to the end.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading.
///
/// A device may have no end, and opening a FIFO waits for a writer, so neither can be mapped or read as a whole. Every
/// file of a model directory and every file of tensors is opened here.
///
/// # Errors
/// A missing or unreadable file; anything other than a regular file, with its kind.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Checked before it is opened, because opening a device may have side effects.
    check_kind(fs::metadata(path)?.file_type())?;
    // If it has become a FIFO since, opening it would block without this flag.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_kind(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads a regular file of at most `most_bytes` bytes.
///
/// # Errors
/// As [`open_regular`]; a file that is larger.
pub fn read_regular(path: &Path, most_bytes: u64) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let too_large = |bytes: u64| io::Error::other(format!("has {bytes} bytes, and at most {most_bytes} are read"));
    let length = file.metadata()?.len();
    if length > most_bytes {
        return Err(too_large(length));
    }
    // Files in /proc have length 0, and others may grow while they are read.
    let mut bytes = Vec::with_capacity(length as usize);
    let read = file.take(most_bytes + 1).read_to_end(&mut bytes)? as u64;
    if read > most_bytes { Err(too_large(read)) } else { Ok(bytes) }
}

fn check_kind(kind: FileType) -> io::Result<()> {
    let found = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("is {found}, not a regular file")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::*;

    #[test]
    fn other_files_are_refused_by_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, socket) = (folder.path().join("fifo"), folder.path().join("socket"));
        mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, kind) in [
            (folder.path(), "a directory"),
            (&fifo, "a FIFO"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (Path::new("/dev/null"), "a device"),
        ] {
            for error in [open_regular(path).unwrap_err(), read_regular(path, 10).unwrap_err()] {
                assert_eq!(error.to_string(), format!("is {kind}, not a regular file"));
            }
        }
        let missing = open_regular(&folder.path().join("none")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn files_are_read_up_to_a_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        assert_eq!(read_regular(&path, 4).unwrap_err().to_string(), "has 5 bytes, and at most 4 are read");
        // A sparse file takes no disk space, but would take memory.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read_regular(&path, 1 << 20).unwrap_err().to_string().starts_with("has 1099511627776 bytes"));
        assert!(read_regular(Path::new("/proc/self/status"), 1 << 20).unwrap().len() > 100);
    }
}
