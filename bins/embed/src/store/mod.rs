//! Embeddings of earlier runs: the interrupted run's, for `--resume`, and those of all runs, for `--cache`.

pub(crate) mod cache;
pub(crate) mod resume;

use embtune_records::Document;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::embedding::RecordEmbedding;
use crate::input::fields::Text;
use crate::long_texts::LongTextPolicy;
use cache::Cache;
use resume::{ResumeReader, ResumeWriter};

/// Everything that a record's vector depends on besides its text, before it is truncated to a dimension or rounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EmbeddingSettings {
    /// See [`EmbeddingSettings::GENERATION`].
    pub(crate) generation: u32,
    /// Fingerprint of the model directory.
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) max_seq_length: usize,
    pub(crate) on_long: LongTextPolicy,
    pub(crate) precision: String,
    pub(crate) normalized: bool,
    /// Number of elements of a vector.
    pub(crate) dim: usize,
}

impl EmbeddingSettings {
    /// Increased when a change of this program gives other vectors for the same text, so that vectors of older versions
    /// are not used.
    pub(crate) const GENERATION: u32 = 1;
}

/// The hashes by which a record is found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordKey {
    /// Hash of id and text; used by `--resume`.
    record: u64,
    /// Hash of the text and the [`EmbeddingSettings`]; used by `--cache`.
    text: u128,
}

/// Looks embeddings up.
pub(crate) struct StoreReader<'a> {
    pub(crate) resume: Option<ResumeReader>,
    pub(crate) cache: Option<&'a Cache>,
}

impl StoreReader<'_> {
    pub(crate) fn key(&self, record: &Document, text: &Text<'_>) -> RecordKey {
        let mut hash = Xxh3::new();
        if self.resume.is_some() {
            hash.update(&(record.id().len() as u64).to_le_bytes());
            hash.update(record.id().as_bytes());
            text.hash(&mut hash);
        }
        RecordKey { record: hash.digest(), text: self.cache.map_or(0, |cache| cache.key(text)) }
    }

    /// The stored embeddings of some records, which must come in the order of the input.
    ///
    /// # Errors
    /// The input differs from the interrupted run's, or the cache is damaged.
    pub(crate) fn find(&mut self, keys: &[RecordKey]) -> anyhow::Result<Vec<Option<RecordEmbedding>>> {
        let mut found = vec![None; keys.len()];
        if let Some(resume) = &mut self.resume {
            for (embedding, key) in found.iter_mut().zip(keys) {
                *embedding = resume.next(key.record)?;
            }
        }
        if let Some(cache) = self.cache {
            let missing: Vec<usize> = (0..keys.len()).filter(|index| found[*index].is_none()).collect();
            for (index, cached) in missing.iter().zip(cache.find(missing.iter().map(|index| keys[*index].text))?) {
                found[*index] = cached;
            }
        }
        Ok(found)
    }

    /// Must be called at the end of the input.
    ///
    /// # Errors
    /// The interrupted run has read more records.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.resume.as_mut().map_or(Ok(()), ResumeReader::finish)
    }
}

/// Stores embeddings.
pub(crate) struct StoreWriter<'a> {
    pub(crate) resume: Option<ResumeWriter>,
    pub(crate) cache: Option<&'a Cache>,
}

impl StoreWriter<'_> {
    /// Stores the embeddings of a window.
    ///
    /// # Errors
    /// The disk is full, or the cache is damaged.
    pub(crate) fn add(&mut self, embeddings: &[(RecordKey, RecordEmbedding)]) -> anyhow::Result<()> {
        if let Some(resume) = &mut self.resume {
            resume.add(embeddings.iter().map(|(key, embedding)| (key.record, embedding)))?;
        }
        if let Some(cache) = self.cache {
            cache.add(embeddings.iter().map(|(key, embedding)| (key.text, embedding)))?;
        }
        Ok(())
    }
}
