//! Files of vectors, which identify each vector by its id: safetensors, and NumPy's arrays with files beside them.

use std::io::Write as _;
use std::path::Path;

use embtune_cli::{Outcome, Output, Session};
use embtune_records::{Document, Location};
use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, NpyWriter, VectorType, sidecar_path};

use super::VectorWriter;
use super::seen_ids::SeenIds;

/// Writes vectors and ids as safetensors.
pub(super) struct SafetensorsFile {
    writer: EmbeddingsWriter,
    seen: SeenIds,
}

impl SafetensorsFile {
    /// Rows are kept in `directory` until the end.
    pub(super) fn new(directory: &Path, dim: usize, vector_type: VectorType, seen: SeenIds) -> anyhow::Result<Self> {
        Ok(Self { writer: EmbeddingsWriter::new(directory, dim, vector_type)?, seen })
    }
}

impl VectorWriter for SafetensorsFile {
    fn write(
        &mut self,
        record: Document,
        location: &Location,
        vector: &[f32],
        _out: &mut Output,
    ) -> anyhow::Result<bool> {
        let is_new = self.seen.insert(&record, location)?;
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

/// Writes vectors as an array of NumPy.
pub(super) struct NpyFile {
    vectors: NpyWriter,
    vector_type: VectorType,
    row: Vec<u8>,
    sidecars: Option<Sidecars>,
}

/// The files beside an array, with the ids and scales that an array cannot hold.
pub(super) struct Sidecars {
    seen: SeenIds,
    /// The ids, one per line.
    ids: Output,
    /// The scales of int8 vectors.
    scales: Option<(NpyWriter, Output)>,
}

impl Sidecars {
    /// Opens the files beside the array at `path`. Rows are kept in `directory` until the end.
    pub(super) fn open(
        path: &Path,
        directory: &Path,
        vector_type: VectorType,
        seen: SeenIds,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let ids = session.output(Some(&sidecar_path(path, "ids")))?;
        let scales = match vector_type {
            VectorType::Int8 => {
                let scales = NpyWriter::new(directory, None, VectorType::F32)?;
                Some((scales, session.output(Some(&sidecar_path(path, "scales")))?))
            }
            _ => None,
        };
        Ok(Self { seen, ids, scales })
    }
}

impl NpyFile {
    /// Without `sidecars`, the ids are not written. Rows are kept in `directory` until the end.
    pub(super) fn new(
        directory: &Path,
        columns: usize,
        vector_type: VectorType,
        sidecars: Option<Sidecars>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(vector_type != VectorType::Bf16, "npy has no bf16\nhint: --dtype f16, or --format safetensors");
        let vectors = NpyWriter::new(directory, Some(columns), vector_type)?;
        Ok(Self { vectors, vector_type, row: Vec::new(), sidecars })
    }
}

impl VectorWriter for NpyFile {
    fn write(
        &mut self,
        record: Document,
        location: &Location,
        vector: &[f32],
        _out: &mut Output,
    ) -> anyhow::Result<bool> {
        if let Some(sidecars) = &mut self.sidecars
            && !sidecars.seen.insert(&record, location)?
        {
            return Ok(false);
        }
        self.row.clear();
        let scale = self.vector_type.store(vector, &mut self.row);
        self.vectors.push(&self.row)?;
        if let Some(sidecars) = &mut self.sidecars {
            writeln!(sidecars.ids, "{}", record.id())?;
            if let Some((scales, _)) = &mut sidecars.scales {
                scales.push(&scale.to_le_bytes())?;
            }
        }
        Ok(true)
    }

    fn finish(
        self: Box<Self>,
        _meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome> {
        self.vectors.finish(out)?;
        if let Some(Sidecars { ids, scales, .. }) = self.sidecars {
            ids.finish()?;
            if let Some((scales, mut file)) = scales {
                scales.finish(&mut file)?;
                file.finish()?;
            }
        }
        Ok(Outcome::Done)
    }
}
