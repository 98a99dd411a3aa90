//! Stdout and named outputs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Access, access};

use crate::AtomicFile;
use crate::descriptors::{self, Descriptor};
use crate::escape::{self, EscapingWriter};

/// Large enough to make the cost of system calls negligible.
const BUFFER_BYTES: usize = 256 << 10;

/// The reader of stdout has closed it: the filter ends, which is not an error.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout closed it")]
pub(crate) struct ClosedPipe;

/// The output of a filter: stdout, or a file that appears whole or not at all.
///
/// Write errors name the output. [`Output::finish`] must be called; a named file of an output that is dropped earlier
/// stays as it was. Control characters are escaped on a terminal.
pub struct Output {
    name: String,
    target: Target,
    is_terminal: bool,
}

enum Target {
    Stream(BufWriter<Box<dyn Write + Send>>),
    File(BufWriter<AtomicFile>),
}

impl Output {
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let name = "<stdout>".to_owned();
            return match descriptors::stdout() {
                Ok(file) => Ok(Self::stream(name, file)),
                Err(error) => Err(named_error(&name, error)),
            };
        };
        let name = escape::path(path);
        match stream(path) {
            Some(opened) => opened.map(|file| Self::stream(name.clone(), file)),
            None => AtomicFile::create(path).map(|file| Self {
                name: name.clone(),
                target: Target::File(BufWriter::with_capacity(BUFFER_BYTES, file)),
                is_terminal: false,
            }),
        }
        .map_err(|error| named_error(&name, error))
    }

    /// An output that is written directly; `name` is for messages.
    pub(crate) fn stream(name: String, file: File) -> Self {
        let is_terminal = file.is_terminal();
        let stream: Box<dyn Write + Send> = if is_terminal {
            Box::new(EscapingWriter::new(BlockingWriter(file)))
        } else {
            Box::new(BlockingWriter(file))
        };
        Self { name, target: Target::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream)), is_terminal }
    }

    /// The file that will appear, if this is not a stream.
    pub(crate) fn file(&self) -> Option<&AtomicFile> {
        match &self.target {
            Target::Stream(_) => None,
            Target::File(file) => Some(file.get_ref()),
        }
    }

    /// Its name in messages: the path as it was given, or `<stdout>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Flushes the output; a named file appears now.
    ///
    /// # Errors
    /// Any write error, with the output's name.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        match self.target {
            Target::Stream(_) => Ok(()),
            Target::File(file) => {
                let name = self.name;
                file.into_inner()
                    .map_err(io::IntoInnerError::into_error)
                    .and_then(AtomicFile::commit)
                    .map_err(|error| named_error(&name, error))
            }
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.target {
            Target::Stream(writer) => writer,
            Target::File(writer) => writer,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes).map_err(|error| named_error(&self.name, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush().map_err(|error| named_error(&self.name, error))
    }
}

/// Waits when the descriptor would block: another program that shares it may have made it non-blocking.
struct BlockingWriter(File);

impl Write for BlockingWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn named_error(name: &str, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return io::Error::new(io::ErrorKind::BrokenPipe, ClosedPipe);
    }
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Opens an output that cannot be replaced by renaming: an open descriptor (`/dev/stdout`), a device, a pipe.
fn stream(path: &Path) -> Option<io::Result<File>> {
    if let Some(descriptor) = Descriptor::named(path) {
        return Some(descriptor.write());
    }
    is_special(path).then(|| OpenOptions::new().write(true).open(path))
}

fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Whether an output is stdout, by whatever name.
pub(crate) fn is_stdout(output: Option<&Path>) -> bool {
    output.is_none_or(|path| {
        path == Path::new("-") || Descriptor::named(path).is_some_and(|descriptor| descriptor.is_stdout())
    })
}

/// Whether an output is a stream (stdout, by whatever name, a device, a pipe), next to which no file can be written.
pub fn is_stream(output: Option<&Path>) -> bool {
    is_stdout(output) || output.is_some_and(|path| Descriptor::named(path).is_some() || is_special(path))
}

/// A directory for temporary data of `output`: that of the output, whose disk has to hold the data anyway, or the
/// system's for streams and where the output's cannot be written.
pub fn spool_directory(output: Option<&Path>) -> PathBuf {
    match output {
        Some(path) if !is_stream(output) => {
            let place = crate::paths::resolve(path).unwrap_or_else(|_| path.to_owned());
            let folder = crate::paths::folder_of(&place).to_owned();
            if access(&folder, Access::WRITE_OK).is_ok() { folder } else { std::env::temp_dir() }
        }
        _ => std::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_output_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut dropped = Output::open(Some(&path)).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");

        let mut finished = Output::open(Some(&path)).unwrap();
        finished.write_all(b"new").unwrap();
        finished.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_full_disk_is_named() {
        let mut output = Output::open(Some(Path::new("/dev/full"))).unwrap();
        output.write_all(b"x").unwrap();
        assert!(output.finish().unwrap_err().to_string().starts_with("/dev/full: No space left"));
    }

    #[test]
    fn temporary_data_is_next_to_the_output() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("out");
        assert_eq!(spool_directory(Some(&inside)), fs::canonicalize(folder.path()).unwrap());
        assert_eq!(spool_directory(Some(Path::new("out"))), std::env::current_dir().unwrap());
        for path in ["-", "/dev/stdout", "/proc/self/fd/1", "/dev/null", "/no/such/out"] {
            assert_eq!(spool_directory(Some(Path::new(path))), std::env::temp_dir(), "{path}");
        }
        assert_eq!(spool_directory(None), std::env::temp_dir());
    }
}
