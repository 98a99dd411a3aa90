//! A mapped file of tensors.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::mapped::Mapped;
use crate::{TensorsError, npy, numbers, torch_checkpoint};

/// The length of safetensors' header stands in the first eight bytes.
const LENGTH_BYTES: usize = 8;

/// A file of tensors, safetensors, a checkpoint of torch or NumPy's, whose claims have been checked against its size.
pub struct TensorFile {
    name: String,
    map: Mapped,
    entries: BTreeMap<String, Entry>,
    metadata: HashMap<String, String>,
}

/// What a file says of a tensor.
pub(crate) struct Entry {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The bytes, inside the file.
    pub(crate) range: Range<usize>,
}

/// A tensor inside a mapped file.
#[derive(Debug, Clone, Copy)]
pub struct Tensor<'a> {
    /// Type of an element.
    pub dtype: Dtype,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// Elements, little-endian, row-major.
    pub bytes: &'a [u8],
}

impl TensorFile {
    /// Maps a safetensors file and checks its header: every tensor lies inside the file, and together they cover it.
    ///
    /// # Errors
    /// When the file cannot be read or is not safetensors.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        Self::open_as(path, path.display().to_string())
    }

    /// The same of a file that messages call `name`.
    pub(crate) fn open_as(path: &Path, name: String) -> Result<Self, TensorsError> {
        let map = Mapped::open(path, &name)?;
        Self::of_map(map, name)
    }

    /// The same of an open file without a path.
    pub(crate) fn of_file(file: &File, name: String) -> Result<Self, TensorsError> {
        let map = Mapped::of_file(file, Path::new(""), &name)?;
        Self::of_map(map, name)
    }

    fn of_map(map: Mapped, name: String) -> Result<Self, TensorsError> {
        let (header_bytes, header) = SafeTensors::read_metadata(&map)
            .map_err(|error| TensorsError::Format { file: name.clone(), what: error.to_string() })?;
        let data = LENGTH_BYTES + header_bytes;
        let entries = header.tensors().into_iter().map(|(name, info)| {
            let (start, end) = info.data_offsets;
            (name, Entry { dtype: info.dtype, shape: info.shape.clone(), range: data + start..data + end })
        });
        Ok(Self { name, entries: entries.collect(), metadata: header.metadata().clone().unwrap_or_default(), map })
    }

    /// Maps a checkpoint that `torch.save` wrote, such as `pytorch_model.bin`: a dict of tensors, each stored row by
    /// row. Nothing in the file is executed.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or holds anything else.
    pub fn open_checkpoint(path: &Path) -> Result<Self, TensorsError> {
        let (name, map) = map(path)?;
        let entries = torch_checkpoint::read(&map).map_err(|what| TensorsError::content(&name, what))?;
        Ok(Self { name, map, entries, metadata: HashMap::new() })
    }

    /// Maps vectors that NumPy has written, as the tensor `embeddings`.
    pub(crate) fn open_npy(path: &Path) -> Result<Self, TensorsError> {
        let (name, map) = map(path)?;
        let entry = npy::read(&map).map_err(|what| TensorsError::content(&name, what))?;
        Ok(Self { name, map, entries: BTreeMap::from([("embeddings".to_owned(), entry)]), metadata: HashMap::new() })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the tensors, in the order of their data.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<&String> = self.entries.keys().collect();
        names.sort_by_key(|name| self.entries[*name].range.start);
        names.into_iter().cloned().collect()
    }

    /// A value of the file's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        let Entry { dtype, shape, range } = self.entries.get(name)?;
        Some(Tensor { dtype: *dtype, shape, bytes: &self.map[range.clone()] })
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn require(&self, name: &str) -> Result<Tensor<'_>, TensorsError> {
        self.get(name).ok_or_else(|| TensorsError::content(&self.name, format!("no tensor \"{name}\"")))
    }

    /// A tensor that must have this type and number of dimensions.
    pub(crate) fn typed(&self, name: &str, dtype: Dtype, dimensions: usize) -> Result<Tensor<'_>, TensorsError> {
        let tensor = self.require(name)?;
        if tensor.dtype != dtype || tensor.shape.len() != dimensions {
            let found = format!("{:?} {:?}", tensor.dtype, tensor.shape);
            let what = format!("tensor \"{name}\" must be {dtype:?} with {dimensions} dimension(s), found {found}");
            return Err(TensorsError::content(&self.name, what));
        }
        Ok(tensor)
    }

    /// The whole file.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.map
    }

    /// Where a tensor's data begins in the file, in bytes.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.span(name).map(|span| span.start)
    }

    /// Where a tensor's data lies in the file: looking a tensor up by its name takes longer than reading a number of it.
    pub(crate) fn span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).map(|entry| entry.range.clone())
    }

    /// The data of a tensor whose span is known.
    pub(crate) fn bytes(&self, span: &Range<usize>) -> &[u8] {
        &self.map[span.clone()]
    }
}

/// Maps a file; its name is for messages.
fn map(path: &Path) -> Result<(String, Mapped), TensorsError> {
    let name = path.display().to_string();
    let map = Mapped::open(path, &name)?;
    Ok((name, map))
}

impl<'a> Tensor<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as f32, borrowed where they are stored so.
    ///
    /// # Errors
    /// The type's name, when it is not F32, F16, BF16 or F64.
    pub fn to_f32(&self) -> Result<Cow<'a, [f32]>, String> {
        numbers::to_f32(self.dtype, self.bytes)
    }
}
