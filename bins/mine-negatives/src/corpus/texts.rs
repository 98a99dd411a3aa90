//! Documents that stay in their file and are read where they stand.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;

use anyhow::bail;
use embtune_cli::Session;
use embtune_records::{Document, ReadError, Records};

use crate::pairs::source::Source;

/// Bytes that are read at a time: most documents are shorter.
const BUFFER_BYTES: usize = 4096;

/// A file of documents.
pub(crate) struct Texts {
    name: String,
    file: File,
    max_record_bytes: usize,
}

impl Texts {
    /// The documents of a source.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn new(source: &Source, max_record_bytes: usize) -> anyhow::Result<Self> {
        Ok(Self { name: source.name.clone(), file: source.file()?, max_record_bytes })
    }

    /// The document that stands at this place, which [`Walk`] gave.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not what it was.
    pub(crate) fn read(&self, place: u64) -> anyhow::Result<Document> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, FilePart { file: &self.file, at: place });
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

/// All documents of a source in their order, with the places where they stand.
pub(crate) struct Walk {
    documents: Records<Document, Counted>,
    place: Rc<Cell<u64>>,
}

impl Walk {
    /// From the first document on.
    ///
    /// # Errors
    /// A file that cannot be opened again.
    pub(crate) fn new(source: &Source, max_record_bytes: usize, session: &Session) -> anyhow::Result<Self> {
        let place = Rc::default();
        let reader = Counted { reader: source.reader(session)?, consumed: Rc::clone(&place) };
        Ok(Self { documents: Records::new(&*source.name, reader, max_record_bytes), place })
    }

    /// An error about the document that was read last.
    pub(crate) fn error(&self, what: String) -> ReadError {
        self.documents.error(what)
    }
}

impl Iterator for Walk {
    type Item = Result<(u64, Document), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let place = self.place.get();
        Some(self.documents.next()?.map(|document| (place, document)))
    }
}

/// Counts the bytes that have been taken from a reader.
struct Counted {
    reader: Box<dyn BufRead>,
    consumed: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.consumed.set(self.consumed.get() + read as u64);
        Ok(read)
    }
}

impl BufRead for Counted {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.consumed.set(self.consumed.get() + amount as u64);
        self.reader.consume(amount);
    }
}
