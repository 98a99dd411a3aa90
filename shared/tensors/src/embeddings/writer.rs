//! Writing vectors one by one.

use std::io::{self, Write};
use std::path::Path;

use safetensors::Dtype;

use super::{EmbeddingsMeta, VERSION};
use crate::safetensors_writer::{SpooledTensor, write_spooled};
use crate::{TensorsError, VectorType};

/// Collects vectors and ids on disk, then writes them as one file; memory does not grow with their number.
pub struct EmbeddingsWriter {
    dim: usize,
    stored: VectorType,
    vectors: SpooledTensor,
    /// For [`VectorType::Int8`] only.
    scales: Option<SpooledTensor>,
    offsets: SpooledTensor,
    bytes: SpooledTensor,
    row: Vec<u8>,
}

impl EmbeddingsWriter {
    /// A file of vectors with `dim` dimensions, collected in `directory`.
    ///
    /// # Errors
    /// A type that cannot store such vectors, or a directory that cannot be written.
    pub fn new(directory: &Path, dim: usize, stored: VectorType) -> Result<Self, TensorsError> {
        let columns = stored.columns(dim).map_err(TensorsError::Write)?;
        let spool = |name: &str, dtype, row_shape: &[usize]| {
            SpooledTensor::new(directory, name, dtype, row_shape)
                .map_err(|error| TensorsError::io(&directory.display().to_string(), error))
        };
        let mut offsets = spool("ids.offsets", Dtype::I64, &[])?;
        offsets.push(1, &0_i64.to_le_bytes()).map_err(|error| TensorsError::Write(error.to_string()))?;
        let vectors = spool("embeddings", stored.dtype(), &[columns])?;
        let scales = (stored == VectorType::Int8).then(|| spool("scales", Dtype::F32, &[])).transpose()?;
        Ok(Self { dim, stored, vectors, scales, offsets, bytes: spool("ids.bytes", Dtype::U8, &[])?, row: Vec::new() })
    }

    /// Appends a vector.
    ///
    /// # Errors
    /// A vector of another length, or a full disk.
    pub fn push(&mut self, id: &str, vector: &[f32]) -> Result<(), TensorsError> {
        if vector.len() != self.dim {
            return Err(TensorsError::Write(format!("vector has {} elements, expected {}", vector.len(), self.dim)));
        }
        self.row.clear();
        let scale = self.stored.store(vector, &mut self.row);
        self.append(id, scale).map_err(|error| TensorsError::Write(error.to_string()))
    }

    fn append(&mut self, id: &str, scale: f32) -> io::Result<()> {
        self.vectors.push(1, &self.row)?;
        if let Some(scales) = &mut self.scales {
            scales.push(1, &scale.to_le_bytes())?;
        }
        self.bytes.push(id.len(), id.as_bytes())?;
        self.offsets.push(1, &(self.bytes.rows() as i64).to_le_bytes())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(self, mut meta: EmbeddingsMeta, out: &mut dyn Write) -> io::Result<()> {
        meta.version = VERSION;
        self.stored.name().clone_into(&mut meta.dtype);
        let json = serde_json::to_string(&meta).map_err(io::Error::from)?;
        let spools = [self.vectors].into_iter().chain(self.scales).chain([self.offsets, self.bytes]).collect();
        write_spooled(spools, Some(("embtune", &json)), out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Embeddings;

    fn meta() -> EmbeddingsMeta {
        EmbeddingsMeta { model: "m".into(), pooling: "mean".into(), normalized: true, ..EmbeddingsMeta::default() }
    }

    fn write(directory: &Path, rows: &[(String, Vec<f32>)], stored: VectorType) -> std::path::PathBuf {
        let dim = rows.first().map_or(8, |(_, row)| row.len());
        let mut writer = EmbeddingsWriter::new(directory, dim, stored).unwrap();
        for (id, row) in rows {
            writer.push(id, row).unwrap();
        }
        let path = directory.join("e.safetensors");
        writer.finish(meta(), &mut std::fs::File::create(&path).unwrap()).unwrap();
        path
    }

    proptest! {
        #[test]
        fn vectors_read_back_as_written(
            rows in prop::collection::btree_map("\\PC{1,9}", prop::array::uniform8(-1e3_f32..1e3), 0..20),
            stored in prop::sample::select(&VectorType::ALL[..]),
        ) {
            let rows: Vec<_> = rows.into_iter().map(|(id, row)| (id, row.to_vec())).collect();
            let directory = tempfile::tempdir().unwrap();
            let read = Embeddings::open(&write(directory.path(), &rows, stored)).unwrap();
            prop_assert_eq!((read.len(), read.dim()), (rows.len(), 8));
            prop_assert_eq!(&read.meta().unwrap().dtype, stored.name());
            prop_assert_eq!(read.ids().map(str::to_owned).collect::<Vec<_>>(), rows.iter().map(|r| r.0.clone()).collect::<Vec<_>>());
            for (index, (_, row)) in rows.iter().enumerate() {
                let mut bytes = Vec::new();
                let scale = stored.store(row, &mut bytes);
                let expected = stored.load(&bytes, &scale.to_le_bytes(), 8).into_owned();
                prop_assert_eq!(&*read.rows_f32(index..index + 1), &expected[..]);
            }
            prop_assert_eq!(read.rows_f32(0..rows.len()).len(), 8 * rows.len());
        }

        /// A truncated or modified file is refused or read, and never a crash.
        #[test]
        fn damaged_files_do_not_crash(
            cut in 0_usize..400,
            flip in 0_usize..400,
            value: u8,
            stored in prop::sample::select(&VectorType::ALL[..]),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let rows = [("a".to_owned(), vec![1.0; 8]), ("b".to_owned(), vec![4.0; 8])];
            let path = write(directory.path(), &rows, stored);
            let mut bytes = std::fs::read(&path).unwrap();
            let index = flip % bytes.len();
            bytes[index] = value;
            bytes.truncate(bytes.len() - cut.min(bytes.len()));
            std::fs::write(&path, bytes).unwrap();
            if let Ok(read) = Embeddings::open(&path) {
                let _ = (read.ids().count(), read.rows_f32(0..read.len()).len());
            }
        }
    }

    #[test]
    fn duplicate_ids_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let rows = [("a".to_owned(), vec![0.0; 3]), ("a".to_owned(), vec![0.0; 3])];
        let error = Embeddings::open(&write(directory.path(), &rows, VectorType::F32)).err().unwrap().to_string();
        assert!(error.contains("duplicate id \"a\" (vector 1)"), "{error}");
    }
}
