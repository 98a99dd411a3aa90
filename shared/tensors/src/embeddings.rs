//! Vectors with their ids.
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `embeddings` | a [`VectorType`]'s | `[N, D]`, of bits `[N, D / 8]` | one row a text |
//! | `scales` | f32 | `[N]` | of int8: what each row is multiplied with |
//! | `ids.offsets` | i64 | `[N + 1]` | where each id begins in `ids.bytes` |
//! | `ids.bytes` | u8 | `[…]` | the ids, UTF-8, one behind the other |
//!
//! The metadata key `embtune` holds [`EmbeddingsMeta`] as JSON.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::ids::Ids;
use crate::numbers::{check_offsets, i64_at};
use crate::{TensorFile, TensorsError, VectorType};

/// Version of the layout; files of another one are refused.
pub(crate) const VERSION: u32 = 1;

/// How the vectors were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingsMeta {
    /// Version of the layout; set by the writer.
    #[serde(default)]
    pub version: u32,
    /// Fingerprint of the model directory.
    pub model: String,
    /// How token vectors become one vector.
    pub pooling: String,
    /// `query`, `document` or nothing.
    pub role: Option<String>,
    /// The text that was put before each text.
    pub prompt: String,
    /// Whether the vectors have length 1 (before they were stored in a smaller type).
    pub normalized: bool,
    /// The name of the [`VectorType`]; set by the writer.
    #[serde(default)]
    pub dtype: String,
    /// What the model computed in.
    pub precision: String,
    /// Tokens at which a text was cut.
    pub max_seq_length: usize,
    /// Texts that were cut.
    pub truncated: u64,
    /// Texts that were embedded in several chunks.
    #[serde(default)]
    pub chunked: u64,
}

/// A mapped file of vectors.
pub struct Embeddings {
    file: TensorFile,
    /// Of a file that holds vectors only.
    ids: Option<Ids>,
    meta: Option<EmbeddingsMeta>,
    stored: VectorType,
    len: usize,
    dim: usize,
}

impl Embeddings {
    /// Opens a file and checks its layout and ids.
    ///
    /// Any safetensors file with these tensors is taken; the metadata may be missing (vectors made elsewhere).
    ///
    /// # Errors
    /// A damaged file, an unknown version, ids that are not UTF-8, empty or double.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        let file = TensorFile::open(path)?;
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let vectors = file.require("embeddings")?;
        let (&[len, columns], Some(stored)) = (vectors.shape, VectorType::of(vectors.dtype)) else {
            let found = format!("{:?} {:?}", vectors.dtype, vectors.shape);
            return Err(refuse(format!(
                "tensor \"embeddings\" must be F32, F16, BF16, I8 or U8 [N, D], found {found}"
            )));
        };
        if stored == VectorType::Int8 && file.typed("scales", Dtype::F32, 1)?.shape[0] != len {
            return Err(refuse(format!("{len} vectors but another number of scales")));
        }
        let offsets = file.typed("ids.offsets", Dtype::I64, 1)?;
        let bytes = file.typed("ids.bytes", Dtype::U8, 1)?;
        if offsets.shape[0] != len + 1 {
            return Err(refuse(format!("{len} vectors but {} ids", offsets.shape[0].saturating_sub(1))));
        }
        check_offsets("ids.offsets", offsets.bytes, bytes.bytes.len()).map_err(refuse)?;
        let meta: Option<EmbeddingsMeta> = match file.metadata("embtune") {
            None => None,
            Some(json) => Some(serde_json::from_str(json).map_err(|error| refuse(format!("metadata: {error}")))?),
        };
        if let Some(meta) = &meta
            && meta.version != VERSION
        {
            return Err(refuse(format!("layout version {}, this program knows {VERSION}", meta.version)));
        }
        let embeddings = Self { meta, stored, len, dim: stored.dim(columns), file, ids: None };
        embeddings.check_ids()?;
        Ok(embeddings)
    }

    /// Opens vectors that NumPy has written, f32, f16 or packed bits (u8) `[N, D]`, with a file of their ids, one a line.
    ///
    /// # Errors
    /// A damaged file, another type or shape, another number of ids, ids that are not UTF-8, empty or double.
    pub fn open_npy(vectors: &Path, ids: &Path) -> Result<Self, TensorsError> {
        let file = TensorFile::open_npy(vectors)?;
        let tensor = file.require("embeddings")?;
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let (&[len, columns], Some(stored)) = (tensor.shape, VectorType::of(tensor.dtype)) else {
            return Err(refuse(format!("expected an array [N, D], found {:?} {:?}", tensor.dtype, tensor.shape)));
        };
        if stored == VectorType::Int8 {
            return Err(refuse("int8 without the scales of its rows\nhint: safetensors holds both".into()));
        }
        let ids = Ids::read(ids)?;
        if ids.len() != len {
            return Err(refuse(format!("{len} vectors but {} ids in {}", ids.len(), ids.name())));
        }
        let embeddings = Self { meta: None, stored, len, dim: stored.dim(columns), file, ids: Some(ids) };
        embeddings.check_ids()?;
        Ok(embeddings)
    }

    fn check_ids(&self) -> Result<(), TensorsError> {
        let mut seen = HashSet::with_capacity(self.len);
        for index in 0..self.len {
            let refuse = |what: &str| TensorsError::content(self.file.name(), format!("id of vector {index} {what}"));
            let id = std::str::from_utf8(self.id_bytes(index)).map_err(|_| refuse("is not UTF-8"))?;
            if id.is_empty() {
                return Err(refuse("is empty"));
            }
            if !seen.insert(id) {
                return Err(refuse(&format!("is not the first \"{id}\": ids must differ")));
            }
        }
        Ok(())
    }

    fn id_bytes(&self, index: usize) -> &[u8] {
        if let Some(ids) = &self.ids {
            return ids.get(index).as_bytes();
        }
        let (Some(offsets), Some(bytes)) = (self.file.get("ids.offsets"), self.file.get("ids.bytes")) else {
            return &[];
        };
        let range = i64_at(offsets.bytes, index) as usize..i64_at(offsets.bytes, index + 1) as usize;
        bytes.bytes.get(range).unwrap_or_default()
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Elements of a vector: of bits, their number.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How the vectors were made; absent in files from elsewhere.
    pub fn meta(&self) -> Option<&EmbeddingsMeta> {
        self.meta.as_ref()
    }

    /// Id of a vector; empty when `index` is out of range.
    pub fn id(&self, index: usize) -> &str {
        std::str::from_utf8(self.id_bytes(index)).unwrap_or_default()
    }

    /// The ids in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        (0..self.len).map(|index| self.id(index))
    }

    /// Vectors as f32, `[rows, D]`, borrowed from the map when they are stored so; see [`VectorType`] for the others.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub fn rows_f32(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        let slice = |name: &str, row_bytes: usize| {
            self.file.get(name).map_or(&[][..], |tensor| &tensor.bytes[rows.start * row_bytes..rows.end * row_bytes])
        };
        let row_bytes = self.file.get("embeddings").map_or(0, |tensor| tensor.shape[1] * tensor.dtype.bitsize() / 8);
        let scales = if self.stored == VectorType::Int8 { slice("scales", size_of::<f32>()) } else { &[] };
        self.stored.load(slice("embeddings", row_bytes), scales, self.dim)
    }

    /// Vectors as f32, as [`rows_f32`](Self::rows_f32) gives them, when all numbers are finite.
    ///
    /// # Errors
    /// [`TensorsError::Content`], which names the first vector that holds NaN or infinity.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub fn finite_rows_f32(&self, rows: Range<usize>) -> Result<Cow<'_, [f32]>, TensorsError> {
        let start = rows.start;
        let vectors = self.rows_f32(rows);
        let broken = vectors.chunks_exact(self.dim.max(1)).position(|row| row.iter().any(|x| !x.is_finite()));
        match broken {
            None => Ok(vectors),
            Some(row) => {
                let what = format!("the vector of \"{}\" holds NaN or infinity", self.id(start + row));
                Err(TensorsError::content(self.name(), what))
            }
        }
    }
}
