//! Vectors and ids.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use embtune_cli::{Outcome, Output};
use embtune_records::Document;
use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, VectorType};

use super::Sink;

pub(super) struct Safetensors {
    writer: EmbeddingsWriter,
    /// Hashes of the ids so far.
    seen: HashSet<u64>,
    hasher: RandomState,
}

impl Safetensors {
    pub(super) fn new(directory: &Path, dim: usize, stored: VectorType) -> anyhow::Result<Self> {
        let writer = EmbeddingsWriter::new(directory, dim, stored)?;
        Ok(Self { writer, seen: HashSet::new(), hasher: RandomState::new() })
    }
}

impl Sink for Safetensors {
    fn write(&mut self, record: Document, vector: &[f32], _out: &mut Output) -> anyhow::Result<()> {
        let id = record.id();
        anyhow::ensure!(
            self.seen.insert(self.hasher.hash_one(id)),
            "id \"{id}\" stands twice: a file of vectors names each by its id\nhint: --format jsonl takes them"
        );
        Ok(self.writer.push(id, vector)?)
    }

    fn finish(
        self: Box<Self>,
        meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome> {
        self.writer.finish(meta()?, out)?;
        Ok(Outcome::Done)
    }
}
