//! Writing safetensors files, from memory or row by row.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

/// Data begins at a multiple of this many bytes, so that mapped f64 and i64 are aligned.
const ALIGNMENT: usize = 8;

/// A tensor's entry in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name of the tensor.
    pub name: String,
    /// Type of an element.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

/// A safetensors header, for tensors whose data follow each other in this order, with at most one metadata entry: its
/// length (u64), then JSON padded with blanks.
pub(crate) fn header(tensors: &[TensorSpec], metadata: Option<(&str, &str)>) -> Vec<u8> {
    let mut header = Map::new();
    if let Some((key, value)) = metadata {
        header.insert("__metadata__".into(), json!({ key: value }));
    }
    let mut start = 0;
    for TensorSpec { name, dtype, shape } in tensors {
        let end = start + shape.iter().product::<usize>() * dtype.bitsize() / 8;
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
        start = end;
    }
    let mut json = Value::Object(header).to_string().into_bytes();
    json.resize(json.len().next_multiple_of(ALIGNMENT), b' ');
    [&(json.len() as u64).to_le_bytes(), &json[..]].concat()
}

/// Writes a safetensors file from tensors in memory: `(name, dtype, shape, little-endian bytes)`, in this order.
///
/// # Errors
/// The writer's own; a tensor whose bytes do not fill its shape is an `InvalidInput`.
pub fn write_tensors<'a>(
    tensors: &[(&'a str, Dtype, Vec<usize>, &'a [u8])],
    metadata: Option<(&str, &str)>,
    out: &mut impl Write,
) -> io::Result<()> {
    let spec = |(name, dtype, shape, _): &(&str, Dtype, Vec<usize>, _)| TensorSpec {
        name: (*name).to_owned(),
        dtype: *dtype,
        shape: shape.clone(),
    };
    let specs: Vec<_> = tensors.iter().map(spec).collect();
    stream_tensors(&specs, metadata, out, |index| Ok(tensors[index].3.into()))
}

/// Writes a safetensors file whose tensors are made one after the other: `bytes` returns the data of the tensor at an
/// index, little-endian.
///
/// # Errors
/// Those of the writer and of `bytes`; a tensor whose bytes do not fill its shape is an `InvalidInput`.
pub fn stream_tensors<'a>(
    tensors: &[TensorSpec],
    metadata: Option<(&str, &str)>,
    out: &mut impl Write,
    mut bytes: impl FnMut(usize) -> io::Result<Cow<'a, [u8]>>,
) -> io::Result<()> {
    out.write_all(&header(tensors, metadata))?;
    for (index, TensorSpec { name, dtype, shape }) in tensors.iter().enumerate() {
        let bytes = bytes(index)?;
        if shape.iter().product::<usize>() * dtype.bitsize() / 8 != bytes.len() {
            let what = format!("tensor \"{name}\" has {} bytes for {dtype:?} {shape:?}", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// A tensor that grows row by row in an unnamed temporary file: the header of a safetensors file, which comes first,
/// holds its size.
pub(crate) struct SpooledTensor {
    name: String,
    dtype: Dtype,
    /// Sizes after the first, which is counted.
    row_shape: Vec<usize>,
    rows: usize,
    file: BufWriter<File>,
}

impl SpooledTensor {
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
pub(crate) fn write_spooled(
    spools: Vec<SpooledTensor>,
    metadata: Option<(&str, &str)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let specs: Vec<_> = spools.iter().map(SpooledTensor::spec).collect();
    out.write_all(&header(&specs, metadata))?;
    for spool in spools {
        let mut file = spool.file.into_inner().map_err(|error| named(error.into_error()))?;
        file.rewind()?;
        io::copy(&mut file, out)?;
    }
    Ok(())
}
