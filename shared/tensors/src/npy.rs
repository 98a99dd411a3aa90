//! Arrays in NumPy's format: magic, version, length of the header, the header (a Python literal), then the elements
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

use safetensors::Dtype;

use crate::tensor::TensorInfo;
use crate::{TensorsError, VectorType};

pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read: ours has 118 bytes.
const MOST_HEADER_BYTES: usize = 64 << 10;

/// Finds the array in a file, and checks its header against the file's size.
///
/// # Errors
/// A message about the file's fault.
pub(crate) fn read(file: &[u8]) -> Result<TensorInfo, String> {
    let rest = file.strip_prefix(MAGIC).ok_or("not an array of NumPy")?;
    let (length_bytes, rest) = match rest {
        [1, _, rest @ ..] => (2, rest),
        [2 | 3, _, rest @ ..] => (4, rest),
        _ => return Err("an array of a version that is not supported".into()),
    };
    let length = rest.get(..length_bytes).ok_or("ends in its header")?;
    let length = length.iter().rev().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if length > MOST_HEADER_BYTES {
        return Err(format!("a header of {length} bytes"));
    }
    let header = rest.get(length_bytes..length_bytes + length).ok_or("ends in its header")?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not UTF-8")?;
    let start = file.len() - rest.len() + length_bytes + length;

    let dtype = match value(header, "descr")?.trim_matches(['\'', '"']) {
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        other => return Err(format!("elements of type {other}; expected <f4, <f2 or |u1")),
    };
    if value(header, "fortran_order")? != "False" {
        return Err("it is stored column by column (fortran_order)\nhint: numpy.ascontiguousarray".into());
    }
    let shape = value(header, "shape")?;
    let sizes = shape.trim_matches(['(', ')']).split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape: Vec<usize> = sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| format!("shape {shape}"))?;
    let elements = shape.iter().try_fold(dtype.bitsize() / 8, |bytes, size| bytes.checked_mul(*size));
    let end = elements.and_then(|bytes| start.checked_add(bytes)).filter(|end| *end == file.len());
    let end = end.ok_or_else(|| format!("its size does not fit an array {shape:?} of {dtype:?}"))?;
    Ok(TensorInfo { dtype, shape, range: start..end })
}

/// The text of a value of the header, which is a literal such as
/// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 8), }`.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let missing = || format!("its header has no \"{key}\"");
    let (_, rest) = header.split_once(&format!("'{key}':")).ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('(') { rest.find(')').map(|end| end + 1) } else { rest.find([',', '}']) };
    Ok(rest[..end.ok_or_else(missing)?].trim())
}

/// Writes an array row by row.
///
/// Rows are kept in an unnamed temporary file until the end, because the header, which comes first, holds their number.
pub struct NpyWriter {
    rows: BufWriter<File>,
    count: usize,
    /// Elements of a row; none where each row is one number.
    columns: Option<usize>,
    descr: &'static str,
}

impl NpyWriter {
    /// An array `[rows, columns]`, or `[rows]` without columns, whose rows are kept in `directory` until the end.
    ///
    /// # Errors
    /// A type that NumPy does not have, or a directory that cannot be written.
    pub fn new(directory: &Path, columns: Option<usize>, stored: VectorType) -> Result<Self, TensorsError> {
        let descr = match stored {
            VectorType::F32 => "<f4",
            VectorType::F16 => "<f2",
            VectorType::Int8 => "|i1",
            VectorType::Ubinary => "|u1",
            VectorType::Bf16 => return Err(TensorsError::Write("npy has no bf16".into())),
        };
        let file = tempfile::tempfile_in(directory)
            .map_err(|error| TensorsError::io(&directory.display().to_string(), error))?;
        Ok(Self { rows: BufWriter::new(file), count: 0, columns, descr })
    }

    /// Appends a row of little-endian elements.
    ///
    /// # Errors
    /// A full disk.
    pub fn push(&mut self, row: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.rows.write_all(row)
    }

    /// Writes the array.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header())?;
        let mut rows = self.rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        rows.rewind()?;
        io::copy(&mut rows, out).map(|_| ())
    }

    /// Header of format 1.0, whose length is a u16; the literal is padded with spaces to a multiple of 64 bytes.
    fn header(&self) -> Vec<u8> {
        let Self { descr, count, .. } = self;
        let shape = self.columns.map_or_else(|| format!("({count},)"), |columns| format!("({count}, {columns})"));
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let prefix = MAGIC.len() + 4;
        let padded = (prefix + text.len() + 1).next_multiple_of(64) - prefix - 1;
        text.extend(std::iter::repeat_n(' ', padded - text.len()));
        text.push('\n');
        [MAGIC, &[1, 0], &(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.bytes());
        file.resize(file.len() + data, 0);
        file
    }

    #[test]
    fn headers_of_numpy_are_read() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }  \n";
        let entry = read(&file(good, 24)).unwrap();
        assert_eq!((entry.dtype, &*entry.shape, entry.range), (Dtype::F32, &[3, 2][..], 72..96));
    }

    #[test]
    fn broken_ones_are_refused() {
        let refused = |header: &str, data| read(&file(header, data)).err().unwrap();
        let of = |descr: &str, order: &str, shape: &str| {
            format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        assert!(refused(&of("'<f4'", "False", "(3, 2)"), 23).starts_with("its size does not fit an array [3, 2]"));
        assert!(refused(&of("'<f8'", "False", "(3, 2)"), 48).starts_with("elements of type <f8"));
        assert!(refused(&of("'<f4'", "True", "(3, 2)"), 24).contains("fortran_order"));
        assert!(refused(&of("'<f4'", "False", "(99999999999, 99999999999)"), 24).contains("does not fit"));
        assert!(refused(&of("'<f4'", "False", "(-3, 2)"), 24).starts_with("shape"));
        assert!(refused("{}", 0).contains("no \"descr\""));
        let whole = file(&of("'<f4'", "False", "(3, 2)"), 24);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_array_reads_back_as_written() {
        let folder = tempfile::tempdir().unwrap();
        for (stored, columns, dtype) in [
            (VectorType::F32, Some(2), Dtype::F32),
            (VectorType::F16, Some(4), Dtype::F16),
            (VectorType::Int8, Some(8), Dtype::I8),
            (VectorType::Ubinary, Some(8), Dtype::U8),
            (VectorType::F32, None, Dtype::F32),
        ] {
            let row = vec![7; columns.unwrap_or(1) * dtype.bitsize() / 8];
            let mut writer = NpyWriter::new(folder.path(), columns, stored).unwrap();
            (0..3).for_each(|_| writer.push(&row).unwrap());
            let mut file = Vec::new();
            writer.finish(&mut file).unwrap();
            let entry = read(&file).unwrap();
            let shape: Vec<usize> = [3].into_iter().chain(columns).collect();
            assert_eq!((entry.dtype, entry.shape), (dtype, shape));
            assert_eq!((entry.range.start % 64, &file[entry.range]), (0, &*row.repeat(3)));
        }
        assert!(NpyWriter::new(folder.path(), Some(2), VectorType::Bf16).is_err());
    }
}
