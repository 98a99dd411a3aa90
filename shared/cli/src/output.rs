//! Stdout and named outputs.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::AtomicFile;

/// Large enough that a system call's cost vanishes next to formatting.
const BUFFER_BYTES: usize = 256 << 10;

/// The reader of stdout went away: the filter ends, and that is no error.
#[derive(Debug, thiserror::Error)]
#[error("the reader of stdout went away")]
pub struct ClosedPipe;

/// Where a filter's data goes: stdout, or a file that appears whole or not at all.
///
/// Write errors name the output. [`Output::finish`] must be called; an output that is dropped before leaves a named
/// file as it was.
pub struct Output {
    name: String,
    target: Target,
}

enum Target {
    Stream(BufWriter<Box<dyn Write + Send>>),
    File(BufWriter<AtomicFile>),
}

impl Output {
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        match path.filter(|path| *path != Path::new("-")) {
            None => Ok(Self { name: "<stdout>".into(), target: Target::Stream(buffered(Box::new(io::stdout()))) }),
            Some(path) => {
                let name = path.display().to_string();
                let named = |error: io::Error| named_error(&name, error);
                // A device or a pipe cannot be replaced by renaming: write to it.
                let special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
                let target = if special {
                    let file = OpenOptions::new().write(true).open(path).map_err(named)?;
                    Target::Stream(buffered(Box::new(file)))
                } else {
                    Target::File(buffered(AtomicFile::create(path).map_err(named)?))
                };
                Ok(Self { name, target })
            }
        }
    }

    /// Whether a person would see the bytes: stdout is a terminal and no file was named.
    pub fn is_terminal(&self) -> bool {
        self.name == "<stdout>" && io::stdout().is_terminal()
    }

    /// Writes everything out; a named file appears now.
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

fn buffered<W: Write>(writer: W) -> BufWriter<W> {
    BufWriter::with_capacity(BUFFER_BYTES, writer)
}

fn named_error(name: &str, error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return io::Error::new(io::ErrorKind::BrokenPipe, ClosedPipe);
    }
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// A directory for temporary data on the way to `output`: the output's own, whose disk has to hold the data anyway,
/// or the system's for stdout and devices.
pub fn spool_directory(output: Option<&Path>) -> PathBuf {
    match output.and_then(Path::parent) {
        Some(parent) if parent.as_os_str().is_empty() && output != Some(Path::new("-")) => PathBuf::from("."),
        Some(parent) if parent.is_dir() && !parent.starts_with("/dev") => parent.to_owned(),
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
}
