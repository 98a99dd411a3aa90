//! An array of NumPy on its way to its file.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

/// Rows wait in an unnamed temporary file, because the header, which comes first, holds their number.
pub(super) struct Array {
    rows: BufWriter<File>,
    count: usize,
    /// Elements of a row; none where each row is one number.
    columns: Option<usize>,
    descr: &'static str,
}

impl Array {
    /// An array without rows, whose elements have the type `descr`.
    pub(super) fn new(directory: &Path, columns: Option<usize>, descr: &'static str) -> io::Result<Self> {
        Ok(Self { rows: BufWriter::new(tempfile::tempfile_in(directory)?), count: 0, columns, descr })
    }

    /// Appends a row.
    pub(super) fn push(&mut self, row: &[u8]) -> io::Result<()> {
        self.count += 1;
        self.rows.write_all(row)
    }

    /// Writes the file.
    pub(super) fn finish(self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.header())?;
        let mut rows = self.rows.into_inner().map_err(io::IntoInnerError::into_error)?;
        rows.rewind()?;
        io::copy(&mut rows, out).map(|_| ())
    }

    /// Header of NumPy's format 1.0: magic, version, length (u16), a Python literal that is filled with blanks to a
    /// multiple of 64 bytes (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
    fn header(&self) -> Vec<u8> {
        let Self { descr, count, .. } = self;
        let shape = self.columns.map_or_else(|| format!("({count},)"), |columns| format!("({count}, {columns})"));
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
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
