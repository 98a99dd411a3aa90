//! Where vectors go.

use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use embtune_cli::{Output, spool_directory};
use embtune_records::{Document, Object};
use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter};
use half::f16;
use serde::Serialize;

use crate::format::{Dtype, Format};

/// Vectors on their way out.
pub(crate) enum Sink {
    Jsonl,
    Safetensors { writer: Box<EmbeddingsWriter>, seen: HashSet<u64>, hasher: RandomState },
    Npy { vectors: BufWriter<File>, rows: usize, dim: usize, dtype: Dtype },
}

/// An output line: the record as it was, with its vector.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: Object,
    embedding: &'a [f32],
}

impl Sink {
    pub(crate) fn new(format: Format, dtype: Dtype, dim: usize, output: Option<&Path>) -> anyhow::Result<Self> {
        let directory = spool_directory(output);
        Ok(match format {
            Format::Jsonl => Self::Jsonl,
            Format::Safetensors => Self::Safetensors {
                writer: Box::new(EmbeddingsWriter::new(&directory, dim, dtype.of_tensors())?),
                seen: HashSet::new(),
                hasher: RandomState::new(),
            },
            Format::Npy => {
                anyhow::ensure!(dtype != Dtype::Bf16, "npy has no bf16\nhint: --dtype f16, or --format safetensors");
                Self::Npy { vectors: BufWriter::new(tempfile::tempfile_in(directory)?), rows: 0, dim, dtype }
            }
        })
    }

    pub(crate) fn write(&mut self, record: Document, vector: &[f32], out: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::Jsonl => {
                let mut record = record.into_object();
                record.shift_remove("embedding");
                serde_json::to_writer(&mut *out, &Line { record, embedding: vector }).map_err(io::Error::from)?;
                out.write_all(b"\n")?;
            }
            Self::Safetensors { writer, seen, hasher } => {
                let id = record.id();
                anyhow::ensure!(
                    seen.insert(hasher.hash_one(id)),
                    "id \"{id}\" stands twice: a file of vectors names each by its id\nhint: --format jsonl takes them"
                );
                writer.push(id, vector)?;
            }
            Self::Npy { vectors, rows, dtype, .. } => {
                *rows += 1;
                for x in vector {
                    match dtype {
                        Dtype::F16 => vectors.write_all(&f16::from_f32(*x).to_le_bytes())?,
                        _ => vectors.write_all(&x.to_le_bytes())?,
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes what has waited. `meta` is asked for only where it is written: naming a model means reading all of it.
    pub(crate) fn finish(
        self,
        meta: impl FnOnce() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<()> {
        match self {
            Self::Jsonl => {}
            Self::Safetensors { writer, .. } => writer.finish(meta()?, out)?,
            Self::Npy { vectors, rows, dim, dtype } => {
                out.write_all(&npy_header(rows, dim, dtype))?;
                let mut file = vectors.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.rewind()?;
                io::copy(&mut file, out)?;
            }
        }
        Ok(())
    }
}

/// Header of NumPy's format 1.0: magic, version, length (u16), a Python literal that is filled with blanks to a
/// multiple of 64 bytes (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
fn npy_header(rows: usize, dim: usize, dtype: Dtype) -> Vec<u8> {
    let descr = if dtype == Dtype::F16 { "<f2" } else { "<f4" };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let prefix = 10;
    let filled = (prefix + text.len() + 1).next_multiple_of(64) - prefix - 1;
    text.extend(std::iter::repeat_n(' ', filled - text.len()));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.into_bytes());
    header
}
