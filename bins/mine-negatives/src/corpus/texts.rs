//! Documents that stay in their file and are read where they stand.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use anyhow::bail;
use embtune_cli::Replayable;
use embtune_records::{Document, ReadError, Records};

/// Bytes that are read at a time: most documents are shorter.
const BUFFER_BYTES: usize = 4096;

/// A file of documents.
pub(crate) struct Texts {
    name: String,
    file: File,
    max_record_bytes: usize,
}

impl Texts {
    /// The documents of an input.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn new(input: &Replayable, max_record_bytes: usize) -> anyhow::Result<Self> {
        Ok(Self { name: input.name().to_owned(), file: input.file()?, max_record_bytes })
    }

    /// The document whose line begins at this byte.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not what it was.
    pub(crate) fn read(&self, offset: u64) -> anyhow::Result<Document> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, FilePart { file: &self.file, at: offset });
        match Records::<Document, _>::new(&*self.name, reader, self.max_record_bytes).next() {
            Some(Ok(document)) => Ok(document),
            Some(Err(error @ ReadError::Io { .. })) => Err(error.into()),
            _ => bail!("{}: has been changed while it was read", self.name),
        }
    }
}

/// A file from some place on.
struct FilePart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FilePart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
