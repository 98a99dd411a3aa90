//! Inputs that can be read more than once.

use std::fs::File;
use std::io::{self, BufRead, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::input::STDIN;
use crate::{Input, Interrupt};

/// Longest line that is copied: more than any record may have.
const MOST_LINE_BYTES: usize = 2 << 30;

/// An input that can be read from its beginning more than once: a regular file, or a copy of a pipe in an unnamed
/// temporary file.
pub struct Replayable {
    name: String,
    content: Content,
    interrupt: Interrupt,
}

enum Content {
    File(PathBuf),
    Copy(File),
}

impl Replayable {
    /// An input of lines. Only one that is not a regular file is copied.
    pub(crate) fn of_lines(
        path: &Path,
        mut input: Input,
        folder: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        if is_regular_file(path) {
            let content = Content::File(path.to_owned());
            return Ok(Self { name: input.name, content, interrupt: interrupt.clone() });
        }
        Self::copy(&mut input, folder, interrupt, copy_lines)
    }

    /// A copy of the rest of an input of any bytes.
    pub(crate) fn of_bytes(mut input: Input, folder: &Path, interrupt: &Interrupt) -> anyhow::Result<Self> {
        Self::copy(&mut input, folder, interrupt, |input, copy| io::copy(input, copy).map(|_| ()))
    }

    fn copy(
        input: &mut Input,
        folder: &Path,
        interrupt: &Interrupt,
        copy: impl FnOnce(&mut Input, &mut File) -> io::Result<()>,
    ) -> anyhow::Result<Self> {
        let name = input.name.clone();
        let context = || format!("copying {name} to a temporary file in {}", folder.display());
        let mut file = tempfile::tempfile_in(folder).with_context(context)?;
        copy(input, &mut file).with_context(context)?;
        Ok(Self { name, content: Content::Copy(file), interrupt: interrupt.clone() })
    }

    /// Its name in messages: the path as it was given, or `<stdin>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole input, from its beginning. The readers of a copy share their position: use one at a time.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub fn open(&self) -> anyhow::Result<Input> {
        Ok(Input::new(self.name.clone(), self.file()?, &self.interrupt))
    }

    /// The file with its content, at the beginning.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub fn file(&self) -> anyhow::Result<File> {
        let file = match &self.content {
            Content::File(path) => File::open(path),
            Content::Copy(file) => file.try_clone().and_then(|mut file| file.rewind().map(|()| file)),
        };
        file.with_context(|| self.name.clone())
    }
}

/// Whether an input file can be read again without a copy: it is a regular file, and not stdin.
pub fn is_regular_file(path: &Path) -> bool {
    path != Path::new(STDIN) && path.is_file()
}

/// Copies an input of lines, unless a line has no end, as a device's may: it would fill the disk.
fn copy_lines(input: &mut Input, copy: &mut File) -> io::Result<()> {
    let mut unfinished = 0;
    loop {
        let bytes = input.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        unfinished = bytes.iter().rposition(|byte| *byte == b'\n').map_or(unfinished + length, |end| length - 1 - end);
        if unfinished > MOST_LINE_BYTES {
            return Err(io::Error::other(format!("a line has more than {MOST_LINE_BYTES} bytes")));
        }
        copy.write_all(bytes)?;
        input.consume(length);
    }
}
