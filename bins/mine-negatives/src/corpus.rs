//! The documents: their vectors, and what has to be known of their texts.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use anyhow::bail;
use embtune_cli::{Input, Replayable};
use embtune_records::{Document, Located, ReadError, RecordStream, Records};
use embtune_tensors::{Embeddings, VectorsById};
use embtune_text::is_blank;

use crate::drop_reason::DropReason;
use crate::exclusions::Exclusions;
use crate::hash::hash;

/// How many bytes are read at a time. Most documents are shorter.
const BUFFER_BYTES: usize = 4096;

/// The part of a document that is held in memory. Texts and groups are compared by their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The byte at which its line begins in the file.
    offset: u64,
    /// Of the text that was embedded, title first.
    pub(crate) text_hash: u64,
    /// Of the text without the title.
    pub(crate) body_hash: u64,
    pub(crate) group_hash: u64,
    /// Why it is never a negative, whatever the query.
    pub(crate) excluded: Option<DropReason>,
}

impl Entry {
    fn new(offset: u64, document: &Document, exclusions: &Exclusions) -> Self {
        let text = document.full_text();
        Self {
            offset,
            text_hash: hash(&text),
            body_hash: hash(document.text()),
            group_hash: hash(&document.group_or_id()),
            // pairs2shards would drop a blank text.
            excluded: exclusions.reason(document).or_else(|| is_blank(&text).then_some(DropReason::Blank)),
        }
    }
}

/// The documents that have vectors, by row. Their texts stay in the file.
pub(crate) struct Corpus<'a> {
    pub(crate) vectors: &'a Embeddings,
    pub(crate) by_id: VectorsById<'a>,
    entries: Vec<Entry>,
    documents: DocumentFile,
}

impl<'a> Corpus<'a> {
    /// Reads the documents that have vectors and ignores the others.
    ///
    /// # Errors
    /// A vector without a document, a duplicate document, a file that cannot be read.
    pub(crate) fn read(
        vectors: &'a Embeddings,
        texts: &Replayable,
        exclusions: &Exclusions,
        max_record_bytes: usize,
    ) -> anyhow::Result<Self> {
        let by_id = VectorsById::new(vectors, "document");
        let mut entries: Vec<Option<Entry>> = vec![None; vectors.len()];
        for document in RecordStream::<Document, _>::new([texts.open()?].map(Input::into_named), max_record_bytes) {
            let Located { record: document, location, offset, .. } = document?;
            let Some(row) = by_id.row(document.id()) else { continue };
            if entries[row].replace(Entry::new(offset, &document, exclusions)).is_some() {
                return Err(location.error(format!("duplicate document \"{}\"", document.id())).into());
            }
        }
        let mut absent = entries.iter().zip(vectors.ids()).filter(|(entry, _)| entry.is_none()).map(|(_, id)| id);
        if let Some(first) = absent.next() {
            bail!(
                "{}: lacks {} of the {} documents of {} (first: \"{first}\")\n\
                 hint: --texts must be the file that was embedded",
                texts.name(),
                1 + absent.count(),
                vectors.len(),
                vectors.name()
            );
        }
        let documents = DocumentFile { name: texts.name().to_owned(), file: texts.file()?, max_record_bytes };
        Ok(Self { vectors, by_id, entries: entries.into_iter().flatten().collect(), documents })
    }

    pub(crate) fn entry(&self, row: usize) -> &Entry {
        &self.entries[row]
    }

    /// The document of a row.
    ///
    /// # Errors
    /// A file that cannot be read, or that has changed since.
    pub(crate) fn document(&self, row: usize) -> anyhow::Result<Document> {
        self.documents.read(self.entries[row].offset)
    }
}

/// A file whose documents are read one at a time, by their offsets.
struct DocumentFile {
    name: String,
    file: File,
    max_record_bytes: usize,
}

impl DocumentFile {
    /// The document whose line begins at this byte.
    fn read(&self, offset: u64) -> anyhow::Result<Document> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, FileAt { file: &self.file, offset });
        match Records::<Document, _>::new(&*self.name, reader, self.max_record_bytes).next() {
            Some(Ok(document)) => Ok(document),
            Some(Err(error @ ReadError::Io { .. })) => Err(error.into()),
            _ => bail!("{}: was changed while it was being read", self.name),
        }
    }
}

/// Reads a file from an offset on, independently of other readers.
struct FileAt<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FileAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
