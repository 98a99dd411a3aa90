//! Tensors that grow row by row on disk, because a safetensors header, which holds the sizes, comes first.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;

use safetensors::Dtype;

use crate::write::{Header, TensorSpec};

/// A tensor under construction, in an unnamed temporary file.
pub(crate) struct Spool {
    name: String,
    dtype: Dtype,
    /// Sizes behind the first, which is counted.
    row_shape: Vec<usize>,
    rows: usize,
    file: BufWriter<File>,
}

impl Spool {
    pub(crate) fn new(directory: &Path, name: &str, dtype: Dtype, row_shape: &[usize]) -> io::Result<Self> {
        let file = BufWriter::with_capacity(128 << 10, tempfile::tempfile_in(directory)?);
        Ok(Self { name: name.to_owned(), dtype, row_shape: row_shape.to_vec(), rows: 0, file })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends `rows` rows.
    pub(crate) fn push(&mut self, rows: usize, bytes: &[u8]) -> io::Result<()> {
        self.rows += rows;
        self.file.write_all(bytes).map_err(named)
    }

    fn spec(&self) -> TensorSpec {
        let mut shape = vec![self.rows];
        shape.extend(&self.row_shape);
        TensorSpec { name: self.name.clone(), dtype: self.dtype, shape }
    }
}

fn named(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("temporary file beside the output: {error}"))
}

/// Writes the spooled tensors as one safetensors file, in this order.
pub(crate) fn write(spools: Vec<Spool>, metadata: Option<(&str, &str)>, out: &mut dyn Write) -> io::Result<()> {
    let specs: Vec<_> = spools.iter().map(Spool::spec).collect();
    out.write_all(&Header::new(&specs, metadata).into_bytes())?;
    for spool in spools {
        let mut file = spool.file.into_inner().map_err(|error| named(error.into_error()))?;
        file.rewind()?;
        io::copy(&mut file, out)?;
    }
    Ok(())
}
