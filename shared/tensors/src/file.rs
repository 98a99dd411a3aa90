//! A mapped file of tensors.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::mapped::Mapped;
use crate::tensor::TensorInfo;
use crate::{Tensor, TensorsError, npy, torch_checkpoint};

/// The first eight bytes of a safetensors file hold the length of its header.
const LENGTH_BYTES: usize = 8;

/// A mapped file of tensors (safetensors, a PyTorch checkpoint or a NumPy array) whose header has been checked against
/// the file's size.
pub struct TensorFile {
    name: String,
    map: Mapped,
    entries: BTreeMap<String, TensorInfo>,
    metadata: HashMap<String, String>,
}

impl TensorFile {
    /// Maps a safetensors file and checks its header: every tensor is inside the file, and together they cover it.
    ///
    /// # Errors
    /// When the file cannot be read or is not safetensors.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        Self::open_as(path, path.display().to_string())
    }

    /// Like [`open`](Self::open), for a file that messages call `name`.
    pub(crate) fn open_as(path: &Path, name: String) -> Result<Self, TensorsError> {
        let map = Mapped::open(path, &name)?;
        Self::of_map(map, name)
    }

    /// Like [`open`](Self::open), for an open file without a path.
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
            (name, TensorInfo { dtype: info.dtype, shape: info.shape.clone(), range: data + start..data + end })
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

    /// Maps a NumPy array, as the tensor `embeddings`.
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
        let TensorInfo { dtype, shape, range } = self.entries.get(name)?;
        Some(Tensor { dtype: *dtype, shape, bytes: &self.map[range.clone()] })
    }

    /// A tensor that must exist.
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
            let plural = if dimensions == 1 { "" } else { "s" };
            let what =
                format!("tensor \"{name}\" must be {dtype:?} with {dimensions} dimension{plural}, found {found}");
            return Err(TensorsError::content(&self.name, what));
        }
        Ok(tensor)
    }

    /// The whole file.
    pub(crate) fn whole(&self) -> &[u8] {
        &self.map
    }

    /// The byte at which a tensor's data begins in the file.
    pub fn offset(&self, name: &str) -> Option<usize> {
        self.span(name).map(|span| span.start)
    }

    /// The position of a tensor's data in the file. Looking a tensor up by name takes longer than reading a number from
    /// it, so readers keep spans.
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
