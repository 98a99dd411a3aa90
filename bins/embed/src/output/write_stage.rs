//! The last stage of the pipeline: writes records with their embeddings, and counts them.

use std::iter;

use embtune_cli::{Output, Skipper};
use embtune_records::Document;
use embtune_tensors::VectorType;

use super::{VectorWriter, chunk_records};
use crate::embedding::{Origin, RecordEmbedding};
use crate::input::Entry;
use crate::vectors::truncated;

/// Writes records with their embeddings, and counts them.
pub(crate) struct WriteStage<'a> {
    pub(crate) writer: Box<dyn VectorWriter>,
    pub(crate) counts: Counts,
    pub(crate) skipper: &'a Skipper<'a>,
    /// Number of elements of the model's vectors.
    pub(crate) model_dim: usize,
    /// Number of elements that are written.
    pub(crate) dim: usize,
    /// Whether vectors have length 1.
    pub(crate) normalized: bool,
    pub(crate) vector_type: VectorType,
    /// The field that is divided into chunks.
    pub(crate) divided_field: &'a str,
    /// Maximum number of tokens that the model takes at once.
    pub(crate) max_seq_length: usize,
}

/// Counts of a run.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    /// Texts that were cut.
    pub(crate) truncated: u64,
    /// Texts without any token, whose vectors are zeros.
    pub(crate) empty: u64,
    /// Texts that were divided into chunks.
    pub(crate) chunked: u64,
    /// Chunks of all these texts.
    pub(crate) chunks: u64,
    /// Records that the model has computed.
    pub(crate) computed: u64,
    /// Tokens of these records.
    pub(crate) tokens: u64,
    /// Records from the `--resume` file.
    pub(crate) resumed: u64,
    /// Records from the `--cache`.
    pub(crate) cached: u64,
    /// Records that repeat an earlier one, and were not written again.
    pub(crate) repeated: u64,
}

/// A text that was refused.
#[derive(Debug, thiserror::Error)]
#[error(
    "the text of \"{id}\" has {tokens} tokens, and the model takes {max_seq_length} at once\n\
     hint: --on-long truncate or chunk accepts it"
)]
struct TooLong {
    id: String,
    tokens: u32,
    max_seq_length: usize,
}

impl WriteStage<'_> {
    /// Writes a record with its embedding.
    ///
    /// # Errors
    /// The text was refused (unless bad records are skipped), the number format cannot hold the vector, or the output
    /// cannot be written.
    pub(crate) fn write(&mut self, entry: Entry, embedding: &RecordEmbedding, out: &mut Output) -> anyhow::Result<()> {
        let Entry { record, location, .. } = entry;
        if embedding.chunks == 0 {
            let id = record.id().to_owned();
            let too_long = TooLong { id, tokens: embedding.tokens, max_seq_length: self.max_seq_length };
            return self.skipper.bad(too_long);
        }
        self.counts.add(embedding);
        let records: Box<dyn Iterator<Item = Document>> = if embedding.spans.is_empty() {
            Box::new(iter::once(record))
        } else {
            Box::new(chunk_records::chunk_records(record, self.divided_field, &embedding.spans))
        };
        let mut is_new = false;
        for (record, vector) in records.zip(embedding.vectors.chunks_exact(self.model_dim)) {
            let vector = truncated(vector, self.dim, self.normalized);
            anyhow::ensure!(
                self.vector_type.holds(&vector),
                "the vector of \"{}\" has elements that are too large for {}\nhint: --dtype f32",
                record.id(),
                self.vector_type.name()
            );
            is_new |= self.writer.write(record, &location, &vector, out)?;
        }
        self.counts.repeated += u64::from(!is_new);
        Ok(())
    }
}

impl Counts {
    /// Counts a record that was not refused.
    fn add(&mut self, embedding: &RecordEmbedding) {
        self.records += 1;
        self.truncated += u64::from(embedding.truncated);
        self.empty += u64::from(embedding.tokens == 0);
        if embedding.chunks > 1 {
            self.chunked += 1;
            self.chunks += u64::from(embedding.chunks);
        }
        match embedding.origin {
            Origin::Model => {
                self.computed += 1;
                self.tokens += u64::from(embedding.tokens);
            }
            Origin::ResumeFile => self.resumed += 1,
            Origin::Cache => self.cached += 1,
        }
    }
}
