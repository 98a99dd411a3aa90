//! The documents: their vectors, texts and groups.

use std::path::Path;

use anyhow::bail;
use embtune_cli::Session;
use embtune_records::{Document, Records};
use embtune_tensors::{ById, Embeddings};
use xxhash_rust::xxh3::xxh3_64;

/// What is known of a document; texts and groups are compared by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The text that was embedded, title first.
    pub(crate) text: String,
    pub(crate) text_hash: u64,
    /// Of the text without the title.
    pub(crate) body_hash: u64,
    pub(crate) group_hash: u64,
}

impl Entry {
    fn new(document: &Document) -> Self {
        let text = document.full_text().into_owned();
        Self {
            text_hash: hash(&text),
            body_hash: hash(document.text()),
            group_hash: hash(&document.group_or_id()),
            text,
        }
    }
}

/// How texts and groups are told apart: 64 bits confuse two of a billion with a chance of 3 %.
pub(crate) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// The documents that have vectors, by row.
pub(crate) struct Corpus<'a> {
    pub(crate) vectors: &'a Embeddings,
    pub(crate) by_id: ById<'a>,
    entries: Vec<Entry>,
}

impl<'a> Corpus<'a> {
    /// Reads the texts of the documents that have vectors; other documents are passed over.
    ///
    /// # Errors
    /// A vector whose document is not there, a document that is there twice, a file that cannot be read.
    pub(crate) fn read(
        vectors: &'a Embeddings,
        texts: &Path,
        max_record_bytes: usize,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let by_id = ById::new(vectors, "document");
        let mut entries: Vec<Option<Entry>> = vec![None; vectors.len()];
        let input = session.input(texts)?;
        let name = input.name.clone();
        let mut documents = Records::<Document, _>::new(&name, input, max_record_bytes);
        while let Some(document) = documents.next() {
            let document = document?;
            let Some(row) = by_id.row(document.id()) else { continue };
            if entries[row].replace(Entry::new(&document)).is_some() {
                return Err(documents.error(format!("document \"{}\" is there twice", document.id())).into());
            }
        }
        let mut absent = entries.iter().zip(vectors.ids()).filter(|(entry, _)| entry.is_none()).map(|(_, id)| id);
        if let Some(first) = absent.next() {
            bail!(
                "{name}: lacks {} of the {} documents of {} (first: \"{first}\")\n\
                 hint: --texts must be the file that was embedded",
                1 + absent.count(),
                vectors.len(),
                vectors.name()
            );
        }
        Ok(Self { vectors, by_id, entries: entries.into_iter().flatten().collect() })
    }

    pub(crate) fn entry(&self, row: usize) -> &Entry {
        &self.entries[row]
    }
}
