//! The output: writes embeddings in each format, and counts them.

mod chunk_records;
mod jsonl;
mod seen_ids;
mod vector_files;
mod verify;
pub(crate) mod write_stage;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use embtune_cli::{Outcome, Output, OutputFormat, Session, is_stream, spool_directory};
use embtune_records::{Document, Location};
use embtune_tensors::{EmbeddingsMeta, VectorType};

use crate::input::fields::Fields;
use seen_ids::SeenIds;

/// Which output is written, and where.
pub(crate) struct OutputSettings {
    /// `None` is stdout.
    pub(crate) path: Option<PathBuf>,
    pub(crate) format: Format,
    pub(crate) vector_type: VectorType,
    /// If set, vectors are compared with these instead of being written.
    pub(crate) verification: Option<Verification>,
}

/// Vectors to compare with.
pub(crate) struct Verification {
    pub(crate) reference: PathBuf,
    /// Lowest cosine that passes.
    pub(crate) min_cosine: f64,
}

impl OutputSettings {
    /// The path of the output, if it is a regular file, beside which there may be others.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| !is_stream(Some(path)))
    }

    /// Whether vectors are written as soon as they are computed, rather than at the end.
    pub(crate) fn is_live(&self) -> bool {
        self.verification.is_none() && self.format == Format::Jsonl
    }
}

/// Format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The input record plus "embedding", one per line
    Jsonl,
    /// Vectors and ids
    Safetensors,
    /// Vectors for NumPy; the ids of FILE.npy are in FILE.ids
    Npy,
}

impl OutputFormat for Format {
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jsonl => &["jsonl", "ndjson"],
            Self::Safetensors => &["safetensors"],
            Self::Npy => &["npy"],
        }
    }
}

/// Number format of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    /// 32-bit floats
    F32,
    /// 16-bit floats (IEEE)
    F16,
    /// 16-bit floats with the range of f32; not in npy
    Bf16,
    /// Bytes from -127 to 127, and a scale for each vector
    Int8,
    /// Bits, 1 for positive elements, eight in a byte
    Ubinary,
}

impl From<Dtype> for VectorType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::Int8 => Self::Int8,
            Dtype::Ubinary => Self::Ubinary,
        }
    }
}

/// Writes vectors in one format, in the order of the input.
pub(crate) trait VectorWriter {
    /// Writes the vector of a record. Returns false if the record repeats an earlier one, and is not written again.
    fn write(
        &mut self,
        record: Document,
        location: &Location,
        vector: &[f32],
        out: &mut Output,
    ) -> anyhow::Result<bool>;

    /// Completes the output. `meta` is called only if the format stores metadata: a fingerprint takes a pass over the
    /// whole model.
    fn finish(
        self: Box<Self>,
        meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome>;
}

/// Opens the writer for vectors of `dim` elements, of the texts in `fields`.
pub(crate) fn open(
    settings: &OutputSettings,
    dim: usize,
    fields: &Fields,
    session: &Session,
) -> anyhow::Result<Box<dyn VectorWriter>> {
    let vector_type = settings.vector_type;
    let columns = vector_type.columns(dim).map_err(|what| anyhow::anyhow!("--dtype {what}"))?;
    if let Some(verification) = &settings.verification {
        return Ok(Box::new(verify::Verifier::open(verification, vector_type, dim)?));
    }
    let directory = spool_directory(settings.path.as_deref());
    let seen = || SeenIds::new(fields.clone());
    Ok(match settings.format {
        Format::Jsonl => Box::new(jsonl::JsonlWriter::new(vector_type)),
        Format::Safetensors => Box::new(vector_files::SafetensorsFile::new(&directory, dim, vector_type, seen())?),
        Format::Npy => {
            let sidecars = match settings.file() {
                Some(path) => Some(vector_files::Sidecars::open(path, &directory, vector_type, seen(), session)?),
                None => {
                    session.notice("the ids are not written; with -o FILE, they are in a file beside FILE");
                    None
                }
            };
            Box::new(vector_files::NpyFile::new(&directory, columns, vector_type, sidecars)?)
        }
    })
}
