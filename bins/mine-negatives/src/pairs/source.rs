//! Inputs that can be read twice.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::Session;
use embtune_records::{Record, Records};

/// Longest line that is copied: more than any record may have.
const MOST_LINE_BYTES: usize = 2 << 30;

/// Copies an input of lines, unless one of them has no end, as that of a device: it would fill the disk.
fn copy_lines(input: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let mut open = 0;
    loop {
        let bytes = input.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        open = bytes.iter().rposition(|byte| *byte == b'\n').map_or(open + length, |end| length - 1 - end);
        if open > MOST_LINE_BYTES {
            return Err(io::Error::other(format!("a line has more than {MOST_LINE_BYTES} bytes")));
        }
        out.write_all(bytes)?;
        input.consume(length);
    }
}

/// An input that can be read from the beginning again.
pub(crate) struct Source {
    pub(crate) name: String,
    kind: Kind,
}

enum Kind {
    File(PathBuf),
    /// What came through a pipe, copied to an unnamed file.
    Copy(File),
}

impl Source {
    /// Prepares the operands; none, or `-`, is stdin.
    ///
    /// # Errors
    /// A file that cannot be opened, a pipe that cannot be copied.
    pub(crate) fn open_all(files: &[PathBuf], session: &Session) -> anyhow::Result<Vec<Self>> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin } else { files };
        files.iter().map(|file| Self::open(file, session)).collect()
    }

    /// Prepares one input; `-` is stdin.
    ///
    /// # Errors
    /// A file that cannot be opened, a pipe that cannot be copied.
    pub(crate) fn open(file: &Path, session: &Session) -> anyhow::Result<Self> {
        let mut input = session.input(file)?;
        let name = input.name.clone();
        if fs::metadata(file).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Self { name, kind: Kind::File(file.to_owned()) });
        }
        let copy = || format!("copying {name} to a temporary file");
        let mut file = tempfile::tempfile().with_context(copy)?;
        copy_lines(&mut input, &mut file).with_context(copy)?;
        Ok(Self { name, kind: Kind::Copy(file) })
    }

    /// What it holds, from the beginning on.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn reader(&self, session: &Session) -> anyhow::Result<Box<dyn BufRead>> {
        Ok(match &self.kind {
            Kind::File(path) => Box::new(session.input(path)?),
            Kind::Copy(_) => Box::new(BufReader::new(self.file()?)),
        })
    }

    /// The records, from the first on.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn records<T: Record>(
        &self,
        max_record_bytes: usize,
        session: &Session,
    ) -> anyhow::Result<Records<T, Box<dyn BufRead>>> {
        Ok(Records::new(&*self.name, self.reader(session)?, max_record_bytes))
    }

    /// The file that holds it, at its beginning.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn file(&self) -> anyhow::Result<File> {
        match &self.kind {
            Kind::File(path) => File::open(path).with_context(|| self.name.clone()),
            Kind::Copy(file) => {
                let mut file = file.try_clone().with_context(|| self.name.clone())?;
                file.rewind().with_context(|| self.name.clone())?;
                Ok(file)
            }
        }
    }
}
