//! Writing vectors as they come.

use std::io::{self, Write};
use std::path::Path;

use half::{bf16, f16};
use safetensors::Dtype;

use crate::embeddings::VERSION;
use crate::spool::{self, Spool};
use crate::{EmbeddingsMeta, TensorsError};

/// Collects vectors and ids on disk, then writes them as one file; memory does not grow with their number.
pub struct EmbeddingsWriter {
    dim: usize,
    dtype: Dtype,
    vectors: Spool,
    offsets: Spool,
    bytes: Spool,
    row: Vec<u8>,
}

impl EmbeddingsWriter {
    /// A file of vectors with `dim` elements of type F32, F16 or BF16, spooled in `directory`.
    ///
    /// # Errors
    /// Another type, or a directory that cannot be written.
    pub fn new(directory: &Path, dim: usize, dtype: Dtype) -> Result<Self, TensorsError> {
        if !matches!(dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Err(TensorsError::Write(format!("embeddings cannot be stored as {dtype:?}")));
        }
        let spool = |name: &str, dtype, row_shape: &[usize]| {
            Spool::new(directory, name, dtype, row_shape)
                .map_err(|error| TensorsError::io(&directory.display().to_string(), error))
        };
        let mut offsets = spool("ids.offsets", Dtype::I64, &[])?;
        offsets.push(1, &0_i64.to_le_bytes()).map_err(|error| TensorsError::Write(error.to_string()))?;
        let vectors = spool("embeddings", dtype, &[dim])?;
        Ok(Self { dim, dtype, vectors, offsets, bytes: spool("ids.bytes", Dtype::U8, &[])?, row: Vec::new() })
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
        match self.dtype {
            Dtype::F16 => self.row.extend(vector.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes())),
            Dtype::BF16 => self.row.extend(vector.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes())),
            _ => self.row.extend(vector.iter().flat_map(|x| x.to_le_bytes())),
        }
        self.append(id).map_err(|error| TensorsError::Write(error.to_string()))
    }

    fn append(&mut self, id: &str) -> io::Result<()> {
        self.vectors.push(1, &self.row)?;
        self.bytes.push(id.len(), id.as_bytes())?;
        self.offsets.push(1, &(self.bytes.rows() as i64).to_le_bytes())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(self, mut meta: EmbeddingsMeta, out: &mut dyn Write) -> io::Result<()> {
        meta.version = VERSION;
        let json = serde_json::to_string(&meta).map_err(io::Error::from)?;
        spool::write(vec![self.vectors, self.offsets, self.bytes], Some(("embtune", &json)), out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Embeddings;

    fn meta() -> EmbeddingsMeta {
        EmbeddingsMeta {
            version: 0,
            model: "m".into(),
            pooling: "mean".into(),
            role: None,
            prompt: String::new(),
            normalized: true,
            precision: "fp32".into(),
            max_seq_length: 256,
            truncated: 0,
        }
    }

    fn write(directory: &Path, rows: &[(String, Vec<f32>)], dtype: Dtype) -> std::path::PathBuf {
        let mut writer = EmbeddingsWriter::new(directory, 3, dtype).unwrap();
        for (id, row) in rows {
            writer.push(id, row).unwrap();
        }
        let path = directory.join("e.safetensors");
        writer.finish(meta(), &mut std::fs::File::create(&path).unwrap()).unwrap();
        path
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(rows in prop::collection::btree_map("\\PC{1,9}", prop::array::uniform3(-1e3_f32..1e3), 0..20)) {
            let rows: Vec<_> = rows.into_iter().map(|(id, row)| (id, row.to_vec())).collect();
            let directory = tempfile::tempdir().unwrap();
            let read = Embeddings::open(&write(directory.path(), &rows, Dtype::F32)).unwrap();
            prop_assert_eq!(read.len(), rows.len());
            prop_assert_eq!(read.ids().map(str::to_owned).collect::<Vec<_>>(), rows.iter().map(|r| r.0.clone()).collect::<Vec<_>>());
            let flat: Vec<f32> = rows.iter().flat_map(|r| r.1.clone()).collect();
            prop_assert_eq!(&*read.rows_f32(0..read.len()), &flat[..]);
        }

        /// A file that lost bytes or has a flipped one is refused or read, never a crash.
        #[test]
        fn damaged_files_do_not_crash(cut in 0_usize..400, flip in 0_usize..400, value: u8) {
            let directory = tempfile::tempdir().unwrap();
            let rows = [("a".to_owned(), vec![1.0, 2.0, 3.0]), ("b".to_owned(), vec![4.0, 5.0, 6.0])];
            let path = write(directory.path(), &rows, Dtype::F16);
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
    fn double_ids_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let rows = [("a".to_owned(), vec![0.0; 3]), ("a".to_owned(), vec![0.0; 3])];
        let error = Embeddings::open(&write(directory.path(), &rows, Dtype::F32)).err().unwrap().to_string();
        assert!(error.contains("id of vector 1 is not the first \"a\""), "{error}");
    }
}
