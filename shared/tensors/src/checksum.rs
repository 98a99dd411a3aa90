//! Safetensors files with a checksum, which is their last tensor.
//!
//! The format itself does not detect a bit that a disk or a copy has changed.

use std::io::{self, Write};

use safetensors::Dtype;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use crate::safetensors_writer::{TensorSpec, header};
use crate::{TensorFile, TensorsError};

/// The last tensor, u8 `[16]`: the 128-bit XXH3 hash, little-endian, of all bytes of the file before it.
const CHECKSUM: &str = "checksum";
const CHECKSUM_BYTES: usize = 16;

/// Writes a file with a checksum as a stream, without holding tensors in memory.
pub struct ChecksumWriter<W> {
    out: W,
    hash: Xxh3,
    /// Bytes of header and tensors that have not been written yet.
    missing: usize,
}

impl<W: Write> ChecksumWriter<W> {
    /// Writes the header of flat tensors, `(name, dtype, elements)`. Their bytes, little-endian, follow through
    /// [`Write`] in this order.
    ///
    /// # Errors
    /// The writer's own.
    pub fn new(tensors: &[(&str, Dtype, usize)], metadata: (&str, &str), out: W) -> io::Result<Self> {
        let checksum = (CHECKSUM, Dtype::U8, CHECKSUM_BYTES);
        let spec = |(name, dtype, elements): &(&str, Dtype, usize)| TensorSpec {
            name: (*name).to_owned(),
            dtype: *dtype,
            shape: vec![*elements],
        };
        let specs: Vec<TensorSpec> = tensors.iter().chain([&checksum]).map(spec).collect();
        let header = header(&specs, Some(metadata));
        let missing = header.len() + tensors.iter().map(|(_, dtype, n)| n * dtype.bitsize() / 8).sum::<usize>();
        let mut writer = Self { out, hash: Xxh3::new(), missing };
        writer.write_all(&header)?;
        Ok(writer)
    }

    /// Writes the checksum, and returns the writer.
    ///
    /// # Errors
    /// The writer's own; tensors without all their bytes.
    pub fn finish(mut self) -> io::Result<W> {
        if self.missing > 0 {
            return Err(wrong_length(format!("{} bytes are missing", self.missing)));
        }
        self.out.write_all(&self.hash.digest128().to_le_bytes())?;
        Ok(self.out)
    }
}

impl<W: Write> Write for ChecksumWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.missing {
            return Err(wrong_length(format!("{} bytes are too many", bytes.len() - self.missing)));
        }
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.missing -= written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn wrong_length(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the tensors do not have the size in the header: {what}"))
}

impl TensorFile {
    /// Reads the whole file and compares its checksum.
    ///
    /// # Errors
    /// A file without a checksum, or that has changed since [`ChecksumWriter`] wrote it.
    pub fn verify_checksum(&self) -> Result<(), TensorsError> {
        let content = self.whole();
        let checksum = self.typed(CHECKSUM, Dtype::U8, 1)?;
        if checksum.bytes.len() != CHECKSUM_BYTES || self.offset(CHECKSUM) != content.len().checked_sub(CHECKSUM_BYTES)
        {
            return Err(TensorsError::content(self.name(), "its checksum is not at the end"));
        }
        let content = &content[..content.len() - CHECKSUM_BYTES];
        if checksum.bytes != xxh3_128(content).to_le_bytes() {
            return Err(TensorsError::content(
                self.name(),
                "is damaged: its checksum is different from when it was written",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TENSORS: [(&str, Dtype, usize); 2] = [("values", Dtype::F32, 3), ("generator", Dtype::U8, 2)];

    fn write(path: &Path) {
        let file = std::fs::File::create(path).unwrap();
        let mut writer = ChecksumWriter::new(&TENSORS, ("embtune", "{}"), file).unwrap();
        for value in [1.0_f32, -2.0, 3.5] {
            writer.write_all(&value.to_le_bytes()).unwrap();
        }
        writer.write_all(&[7, 8]).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn a_file_with_a_checksum_reads_back_as_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        write(&path);
        let file = TensorFile::open(&path).unwrap();
        file.verify_checksum().unwrap();
        assert_eq!(&*file.get("values").unwrap().to_f32().unwrap(), [1.0, -2.0, 3.5]);
        assert_eq!((file.get("generator").unwrap().bytes, file.metadata("embtune")), (&[7, 8][..], Some("{}")));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        write(&path);
        let whole = std::fs::read(&path).unwrap();
        let is_valid = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            TensorFile::open(&path).is_ok_and(|file| file.verify_checksum().is_ok())
        };
        assert!(is_valid(&whole));
        for bit in 0..8 * whole.len() {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_valid(&bytes), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert!(!is_valid(&whole[..length]), "{length} bytes");
        }
    }

    #[test]
    fn tensors_must_have_the_size_in_the_header() {
        let message = |bytes: &[u8]| {
            let mut writer = ChecksumWriter::new(&TENSORS, ("embtune", "{}"), Vec::new()).unwrap();
            writer.write_all(bytes).and_then(|()| writer.finish()).unwrap_err().to_string()
        };
        assert!(message(&[0; 13]).ends_with("1 bytes are missing"));
        assert!(message(&[0; 15]).ends_with("1 bytes are too many"));
    }
}
