//! Vectors for NumPy, and beside them what an array cannot hold.

use std::io::Write as _;
use std::path::Path;

use embtune_cli::{Outcome, Output, Session};
use embtune_records::{Document, Location};
use embtune_tensors::{EmbeddingsMeta, NpyWriter, VectorType, sidecar_path};

use super::Sink;
use super::known::Known;

pub(super) struct Npy {
    vectors: NpyWriter,
    stored: VectorType,
    row: Vec<u8>,
    beside: Option<Beside>,
}

/// The files that belong to an array: without them nobody knows which vector is whose.
pub(super) struct Beside {
    known: Known,
    /// The ids, one a line.
    ids: Output,
    /// Of int8 only.
    scales: Option<(NpyWriter, Output)>,
}

impl Beside {
    /// Opens the files that belong to `path`, spooled in `directory`.
    pub(super) fn open(
        path: &Path,
        directory: &Path,
        stored: VectorType,
        known: Known,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let ids = session.output(Some(&sidecar_path(path, "ids")))?;
        let scales = match stored {
            VectorType::Int8 => {
                let scales = NpyWriter::new(directory, None, VectorType::F32)?;
                Some((scales, session.output(Some(&sidecar_path(path, "scales")))?))
            }
            _ => None,
        };
        Ok(Self { known, ids, scales })
    }
}

impl Npy {
    pub(super) fn new(
        directory: &Path,
        columns: usize,
        stored: VectorType,
        beside: Option<Beside>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(stored != VectorType::Bf16, "npy has no bf16\nhint: --dtype f16, or --format safetensors");
        let vectors = NpyWriter::new(directory, Some(columns), stored)?;
        Ok(Self { vectors, stored, row: Vec::new(), beside })
    }
}

impl Sink for Npy {
    fn write(&mut self, record: Document, place: &Location, vector: &[f32], _out: &mut Output) -> anyhow::Result<bool> {
        if let Some(beside) = &mut self.beside
            && !beside.known.is_new(&record, place)?
        {
            return Ok(false);
        }
        self.row.clear();
        let scale = self.stored.store(vector, &mut self.row);
        self.vectors.push(&self.row)?;
        if let Some(beside) = &mut self.beside {
            writeln!(beside.ids, "{}", record.id())?;
            if let Some((scales, _)) = &mut beside.scales {
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
        if let Some(Beside { ids, scales, .. }) = self.beside {
            ids.finish()?;
            if let Some((scales, mut file)) = scales {
                scales.finish(&mut file)?;
                file.finish()?;
            }
        }
        Ok(Outcome::Done)
    }
}
