//! Vectors alone, for NumPy.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::path::Path;

use embtune_cli::{Outcome, Output};
use embtune_records::{Document, Place};
use embtune_tensors::{EmbeddingsMeta, VectorType};

use super::Sink;

pub(super) struct Npy {
    vectors: BufWriter<File>,
    rows: usize,
    columns: usize,
    stored: VectorType,
    descr: &'static str,
    row: Vec<u8>,
}

impl Npy {
    pub(super) fn new(directory: &Path, columns: usize, stored: VectorType) -> anyhow::Result<Self> {
        let descr = match stored {
            VectorType::F32 => "<f4",
            VectorType::F16 => "<f2",
            VectorType::Int8 => "|i1",
            VectorType::Ubinary => "|u1",
            VectorType::Bf16 => anyhow::bail!("npy has no bf16\nhint: --dtype f16, or --format safetensors"),
        };
        let vectors = BufWriter::new(tempfile::tempfile_in(directory)?);
        Ok(Self { vectors, rows: 0, columns, stored, descr, row: Vec::new() })
    }

    /// Header of NumPy's format 1.0: magic, version, length (u16), a Python literal that is filled with blanks to a
    /// multiple of 64 bytes (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
    fn header(&self) -> Vec<u8> {
        let Self { descr, rows, columns, .. } = self;
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        let prefix = 10;
        let filled = (prefix + text.len() + 1).next_multiple_of(64) - prefix - 1;
        text.extend(std::iter::repeat_n(' ', filled - text.len()));
        text.push('\n');
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.into_bytes());
        header
    }
}

impl Sink for Npy {
    fn write(&mut self, _record: Document, _place: &Place, vector: &[f32], _out: &mut Output) -> anyhow::Result<bool> {
        self.rows += 1;
        self.row.clear();
        self.stored.store(vector, &mut self.row);
        self.vectors.write_all(&self.row)?;
        Ok(true)
    }

    fn finish(
        self: Box<Self>,
        _meta: &mut dyn FnMut() -> anyhow::Result<EmbeddingsMeta>,
        out: &mut Output,
    ) -> anyhow::Result<Outcome> {
        out.write_all(&self.header())?;
        let mut file = self.vectors.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        io::copy(&mut file, out)?;
        Ok(Outcome::Done)
    }
}
