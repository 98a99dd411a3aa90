//! Vectors and ids.

use std::path::Path;

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Location};
use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, VectorType};

use super::Sink;
use super::known::Known;

pub(super) struct Safetensors {
    writer: EmbeddingsWriter,
    known: Known,
}

impl Safetensors {
    pub(super) fn new(directory: &Path, dim: usize, stored: VectorType, known: Known) -> anyhow::Result<Self> {
        Ok(Self { writer: EmbeddingsWriter::new(directory, dim, stored)?, known })
    }
}

impl Sink for Safetensors {
    fn write(&mut self, record: Document, place: &Location, vector: &[f32], _out: &mut Output) -> anyhow::Result<bool> {
        let is_new = self.known.is_new(&record, place)?;
        if is_new {
            self.writer.push(record.id(), vector)?;
        }
        Ok(is_new)
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
