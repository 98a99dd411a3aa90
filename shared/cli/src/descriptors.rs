//! Descriptors that are already open: stdin, stdout, and those that paths such as /dev/stdout and /dev/fd/63 name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::paths::{MOST_LINKS, folder_of};

/// A duplicate of stdin.
///
/// # Errors
/// When it is closed, or only open for writing.
pub(crate) fn stdin() -> io::Result<File> {
    duplicate(io::stdin().as_fd(), OFlags::WRONLY, "for reading")
}

/// A duplicate of stdout, which shares its position with all processes that have it open. Rust's own stdout reports
/// success when it is closed.
///
/// # Errors
/// When it is closed, or only open for reading.
pub(crate) fn stdout() -> io::Result<File> {
    duplicate(io::stdout().as_fd(), OFlags::RDONLY, "for writing")
}

/// A duplicate of a descriptor that is not open in the `wrong` mode.
fn duplicate(descriptor: BorrowedFd<'_>, wrong: OFlags, what: &str) -> io::Result<File> {
    if fcntl_getfl(descriptor)? & OFlags::ACCMODE == wrong {
        return Err(io::Error::other(format!("is closed, or not open {what}")));
    }
    Ok(File::from(descriptor.try_clone_to_owned()?))
}

/// A descriptor of a process that a path names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    process: Pid,
    number: i32,
    /// Its name in /proc.
    path: PathBuf,
}

impl Descriptor {
    /// The descriptor that a path names: `/dev/stdout`, `/dev/fd/63`, `/proc/self/fd/1`, or a link to one.
    pub(crate) fn named(path: &Path) -> Option<Self> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let folder = fs::canonicalize(folder_of(&path)).ok()?;
            let name = path.file_name()?.to_owned();
            path = folder.join(&name);
            if let Ok(rest) = folder.strip_prefix("/proc")
                && rest.file_name().is_some_and(|last| last == "fd")
            {
                let process = rest.iter().next()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
                return Some(Self { process, number: name.to_str()?.parse().ok()?, path });
            }
            path = folder.join(fs::read_link(&path).ok()?);
        }
        None
    }

    /// Whether it is this process's stdout.
    pub(crate) fn is_stdout(&self) -> bool {
        self.process == getpid() && self.number == 1
    }

    /// Opens it for writing with its position and flags, as `>&` in a shell does.
    ///
    /// # Errors
    /// When it is not open, or not open for writing.
    pub(crate) fn write(&self) -> io::Result<File> {
        if self.is_stdout() {
            return stdout();
        }
        let copied = pidfd_open(self.process, PidfdFlags::empty())
            .and_then(|process| pidfd_getfd(process, self.number, PidfdGetfdFlags::empty()));
        match copied {
            Ok(copy) => duplicate(copy.as_fd(), OFlags::RDONLY, "for writing"),
            // Older kernels, and containers that forbid it.
            Err(_) => self.open_again(),
        }
    }

    /// Opens the descriptor's file again, at the same position.
    fn open_again(&self) -> io::Result<File> {
        let info = fs::read_to_string(self.path.with_file_name(format!("../fdinfo/{}", self.number)))?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let flags = field("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok()).unwrap_or(0);
        let appends = OFlags::from_bits_retain(flags) & OFlags::APPEND;
        let mut file = OpenOptions::new().write(true).custom_flags(appends.bits() as i32).open(&self.path)?;
        if file.metadata()?.is_file()
            && let Some(position) = field("pos:").and_then(|position| position.parse().ok())
        {
            file.seek(SeekFrom::Start(position))?;
        }
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn a_path_may_name_a_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
        for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", link.to_str().unwrap()] {
            assert!(Descriptor::named(Path::new(path)).unwrap().is_stdout(), "{path}");
        }
        assert_eq!(Descriptor::named(Path::new("/dev/fd/63")).unwrap().number, 63);
        assert!(!Descriptor::named(Path::new("/dev/stderr")).unwrap().is_stdout());
        for path in ["/dev/null", "/proc/self/fd", "/proc/self/fd/x", "out", "/no/such/fd/1", ""] {
            assert_eq!(Descriptor::named(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn writing_continues_at_the_position() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before ").unwrap();
        let named = Descriptor::named(&PathBuf::from(format!("/dev/fd/{}", file.as_raw_fd()))).unwrap();
        named.open_again().unwrap().write_all(b"again ").unwrap();
        named.write().unwrap().write_all(b"there ").unwrap();
        file.write_all(b"after").unwrap();
        file.rewind().unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "before there after");
    }
}
