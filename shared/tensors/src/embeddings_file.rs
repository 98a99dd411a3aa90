//! One file of vectors with their ids.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;

use crate::embeddings::VERSION;
use crate::ids::Ids;
use crate::numbers::{check_offsets, i64_at};
use crate::{EmbeddingsMeta, TensorFile, TensorsError, VectorType};

/// A mapped file of vectors.
pub(crate) struct EmbeddingsFile {
    file: TensorFile,
    ids: Place,
    meta: Option<EmbeddingsMeta>,
    stored: VectorType,
    len: usize,
    dim: usize,
}

/// Where the ids are.
enum Place {
    /// In a file of their own.
    Beside(Ids),
    /// In two tensors of the file, at these bytes.
    Inside { offsets: Range<usize>, text: Range<usize> },
}

impl EmbeddingsFile {
    /// Opens a file and checks its layout: X.npy with the ids in X.ids, or else safetensors.
    ///
    /// # Errors
    /// A damaged file, an unknown version, ids that are not UTF-8 or empty.
    pub(crate) fn open(path: &Path) -> Result<Self, TensorsError> {
        let is_npy = path.extension().is_some_and(|extension| extension == "npy");
        if is_npy { Self::open_npy(path, &path.with_extension("ids")) } else { Self::open_safetensors(path) }
    }

    fn open_safetensors(path: &Path) -> Result<Self, TensorsError> {
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
        if offsets.shape[0].checked_sub(1) != Some(len) {
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
        let span = |name| file.span(name).unwrap_or_default();
        let ids = Place::Inside { offsets: span("ids.offsets"), text: span("ids.bytes") };
        let file = Self { meta, stored, len, dim: stored.dim(columns), ids, file };
        file.check_ids()?;
        Ok(file)
    }

    fn open_npy(vectors: &Path, ids: &Path) -> Result<Self, TensorsError> {
        let file = TensorFile::open_npy(vectors)?;
        let tensor = file.require("embeddings")?;
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let (&[len, columns], Some(stored)) = (tensor.shape, VectorType::of(tensor.dtype)) else {
            return Err(refuse(format!("expected an array [N, D], found {:?} {:?}", tensor.dtype, tensor.shape)));
        };
        if stored == VectorType::Int8 {
            return Err(refuse("int8 without the scales of its rows\nhint: safetensors holds both".into()));
        }
        let ids = Ids::read(ids, len)?;
        let file = Self { meta: None, stored, len, dim: stored.dim(columns), file, ids: Place::Beside(ids) };
        file.check_ids()?;
        Ok(file)
    }

    fn check_ids(&self) -> Result<(), TensorsError> {
        for index in 0..self.len {
            let refuse = |what: &str| TensorsError::content(self.name(), format!("id of vector {index} {what}"));
            let id = std::str::from_utf8(self.id_bytes(index)).map_err(|_| refuse("is not UTF-8"))?;
            if id.is_empty() {
                return Err(refuse("is empty"));
            }
        }
        Ok(())
    }

    fn id_bytes(&self, index: usize) -> &[u8] {
        match &self.ids {
            Place::Beside(ids) => ids.get(index).as_bytes(),
            Place::Inside { offsets, text } => {
                let offsets = self.file.bytes(offsets);
                let range = i64_at(offsets, index) as usize..i64_at(offsets, index + 1) as usize;
                self.file.bytes(text).get(range).unwrap_or_default()
            }
        }
    }

    /// The file's name, for messages.
    pub(crate) fn name(&self) -> &str {
        self.file.name()
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Elements of a vector: of bits, their number.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// How the vectors were made; absent in files from elsewhere.
    pub(crate) fn meta(&self) -> Option<&EmbeddingsMeta> {
        self.meta.as_ref()
    }

    /// Id of a vector; empty when `index` is out of range.
    pub(crate) fn id(&self, index: usize) -> &str {
        std::str::from_utf8(self.id_bytes(index)).unwrap_or_default()
    }

    /// Vectors as f32, `[rows, D]`, borrowed from the map when they are stored so; see [`VectorType`] for the others.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub(crate) fn rows_f32(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        let slice = |name: &str, row_bytes: usize| {
            self.file.get(name).map_or(&[][..], |tensor| &tensor.bytes[rows.start * row_bytes..rows.end * row_bytes])
        };
        let row_bytes = self.file.get("embeddings").map_or(0, |tensor| tensor.shape[1] * tensor.dtype.bitsize() / 8);
        let scales = if self.stored == VectorType::Int8 { slice("scales", size_of::<f32>()) } else { &[] };
        self.stored.load(slice("embeddings", row_bytes), scales, self.dim)
    }
}
