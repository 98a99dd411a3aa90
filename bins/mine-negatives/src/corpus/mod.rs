//! The documents: their vectors, and what is known of their texts.

mod texts;
pub(crate) mod withheld;

use anyhow::bail;
use embtune_cli::{Input, Replayable};
use embtune_records::{Document, Located, RecordStream};
use embtune_tensors::{Embeddings, VectorsById};
use embtune_text::is_blank;
use xxhash_rust::xxh3::xxh3_64;

use crate::choice::reason::Reason;
use crate::corpus::texts::Texts;
use crate::corpus::withheld::Withheld;

/// What is held of a document; texts and groups are compared by hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Byte at which its line begins in its file.
    offset: u64,
    /// Of the text that was embedded, title first.
    pub(crate) text_hash: u64,
    /// Of the text without the title.
    pub(crate) body_hash: u64,
    pub(crate) group_hash: u64,
    /// Why it is no negative of any query.
    pub(crate) withheld: Option<Reason>,
}

impl Entry {
    fn new(offset: u64, document: &Document, withheld: &Withheld) -> Self {
        let text = document.full_text();
        Self {
            offset,
            text_hash: hash(&text),
            body_hash: hash(document.text()),
            group_hash: hash(&document.group_or_id()),
            // pairs2shards would drop it.
            withheld: withheld.reason(document).or_else(|| is_blank(&text).then_some(Reason::Blank)),
        }
    }
}

/// How texts and groups are told apart: 64 bits confuse two of a billion with a chance of 3 %.
pub(crate) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The documents that have vectors, by row; their texts stay in the file.
pub(crate) struct Corpus<'a> {
    pub(crate) vectors: &'a Embeddings,
    pub(crate) by_id: VectorsById<'a>,
    entries: Vec<Entry>,
    texts: Texts,
}

impl<'a> Corpus<'a> {
    /// Reads the documents that have vectors; others are passed over.
    ///
    /// # Errors
    /// A vector whose document is not there, a document that is there twice, a file that cannot be read.
    pub(crate) fn read(
        vectors: &'a Embeddings,
        texts: &Replayable,
        withheld: &Withheld,
        max_record_bytes: usize,
    ) -> anyhow::Result<Self> {
        let by_id = VectorsById::new(vectors, "document");
        let mut entries: Vec<Option<Entry>> = vec![None; vectors.len()];
        for document in RecordStream::<Document, _>::new([texts.open()?].map(Input::into_named), max_record_bytes) {
            let Located { record: document, location, offset, .. } = document?;
            let Some(row) = by_id.row(document.id()) else { continue };
            if entries[row].replace(Entry::new(offset, &document, withheld)).is_some() {
                return Err(location.error(format!("document \"{}\" is there twice", document.id())).into());
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
        let texts = Texts::new(texts, max_record_bytes)?;
        Ok(Self { vectors, by_id, entries: entries.into_iter().flatten().collect(), texts })
    }

    pub(crate) fn entry(&self, row: usize) -> &Entry {
        &self.entries[row]
    }

    /// The document of a row.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not what it was.
    pub(crate) fn document(&self, row: usize) -> anyhow::Result<Document> {
        self.texts.read(self.entries[row].offset)
    }
}
