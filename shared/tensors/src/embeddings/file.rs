//! A file of vectors with their ids.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;

use super::ids::IdList;
use super::{EmbeddingsMeta, VERSION, json_lines};
use crate::numbers::{check_offsets, i64_at};
use crate::{Tensor, TensorFile, TensorsError, VectorType, npy, open_regular};

/// Bytes that tell the formats apart.
const HEAD_BYTES: u64 = 8;

/// A mapped file of vectors.
pub(crate) struct EmbeddingsFile {
    file: TensorFile,
    ids: Ids,
    /// The scales of int8, if they are in a separate file.
    scales: Option<TensorFile>,
    /// The metadata; files of other tools have none.
    pub(crate) meta: Option<EmbeddingsMeta>,
    stored: VectorType,
    /// Number of vectors.
    pub(crate) len: usize,
    /// Dimensions of a vector.
    pub(crate) dim: usize,
}

/// The path of the ids (`ids`) or scales (`scales`) of an array: `x.ids` for `x.npy`, `x.bin.ids` for `x.bin`.
pub fn sidecar_path(vectors: &Path, what: &str) -> PathBuf {
    if vectors.extension().is_some_and(|extension| extension == "npy") {
        return vectors.with_extension(what);
    }
    let mut path = vectors.as_os_str().to_owned();
    path.push(format!(".{what}"));
    path.into()
}

/// The ids of a file.
enum Ids {
    /// In a separate file.
    Sidecar(IdList),
    /// In two tensors of the file, at these bytes.
    Tensors { offsets: Range<usize>, text: Range<usize> },
}

impl EmbeddingsFile {
    /// Opens a NumPy array, JSON Lines or else safetensors, and checks the layout.
    ///
    /// # Errors
    /// A damaged file, an unknown version, ids that are not UTF-8 or empty.
    pub(crate) fn open(path: &Path) -> Result<Self, TensorsError> {
        let head = head(path).map_err(|error| TensorsError::io(&path.display().to_string(), error))?;
        let is_named = |name: &str| path.extension().is_some_and(|extension| extension == name);
        if head.starts_with(npy::MAGIC) || is_named("npy") {
            Self::open_npy(path)
        } else if json_lines::is_json_lines(&head) || head.is_empty() && is_named("jsonl") {
            // JSON Lines do not name the model.
            Ok(Self { meta: None, ..Self::of_tensors(json_lines::open(path)?)? })
        } else {
            Self::of_tensors(TensorFile::open(path)?)
        }
    }

    fn of_tensors(file: TensorFile) -> Result<Self, TensorsError> {
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
        let ids = Ids::Tensors { offsets: span("ids.offsets"), text: span("ids.bytes") };
        let file = Self { meta, stored, len, dim: stored.dim(columns), ids, scales: None, file };
        file.check_ids()?;
        Ok(file)
    }

    fn open_npy(vectors: &Path) -> Result<Self, TensorsError> {
        let file = TensorFile::open_npy(vectors)?;
        let tensor = file.require("embeddings")?;
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let (&[len, columns], Some(stored)) = (tensor.shape, VectorType::of(tensor.dtype)) else {
            return Err(refuse(format!("expected an array [N, D], found {:?} {:?}", tensor.dtype, tensor.shape)));
        };
        let scales =
            (stored == VectorType::Int8).then(|| TensorFile::open_npy(&sidecar_path(vectors, "scales"))).transpose();
        let scales = scales.map_err(|error| refuse(format!("int8 needs the scales of its rows: {error}")))?;
        if let Some(scales) = &scales
            && scales.require("embeddings").map(|scales| (scales.dtype, scales.shape.to_vec()))?
                != (Dtype::F32, vec![len])
        {
            return Err(refuse(format!("{len} vectors need as many scales of F32 in {}", scales.name())));
        }
        let ids = IdList::read(&sidecar_path(vectors, "ids"), len)?;
        let file = Self { meta: None, stored, len, dim: stored.dim(columns), file, scales, ids: Ids::Sidecar(ids) };
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
            Ids::Sidecar(ids) => ids.get(index).as_bytes(),
            Ids::Tensors { offsets, text } => {
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

    /// Id of a vector; empty when `index` is out of range.
    pub(crate) fn id(&self, index: usize) -> &str {
        std::str::from_utf8(self.id_bytes(index)).unwrap_or_default()
    }

    /// Vectors as f32, `[rows, D]`, borrowed from the map if they are stored as f32; see [`VectorType`] for the others.
    ///
    /// # Panics
    /// When the range goes past the last vector.
    pub(crate) fn rows_f32(&self, rows: Range<usize>) -> Cow<'_, [f32]> {
        let vectors = self.file.get("embeddings");
        let row_bytes = vectors.map_or(0, |tensor| tensor.shape[1] * tensor.dtype.bitsize() / 8);
        let scales = match &self.scales {
            Some(file) => file.get("embeddings"),
            None => self.file.get("scales").filter(|_| self.stored == VectorType::Int8),
        };
        self.stored.load(slice(vectors, &rows, row_bytes), slice(scales, &rows, size_of::<f32>()), self.dim)
    }
}

/// The bytes of rows of a tensor.
fn slice<'a>(tensor: Option<Tensor<'a>>, rows: &Range<usize>, row_bytes: usize) -> &'a [u8] {
    tensor.map_or(&[], |tensor| &tensor.bytes[rows.start * row_bytes..rows.end * row_bytes])
}

/// The first bytes of a regular file. Anything else has none here: it is refused when it is to be mapped, and a pipe
/// loses no bytes.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    if fs::metadata(path)?.is_file() {
        open_regular(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    }
    Ok(head)
}
