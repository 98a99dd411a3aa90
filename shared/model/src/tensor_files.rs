//! The files that hold the tensors of a module: one file, or several shards with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Component, Path, PathBuf};

use embtune_tensors::{Tensor, TensorFile};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::{ModelError, files};

const SAFETENSORS: &str = "model.safetensors";
const CHECKPOINT: &str = "pytorch_model.bin";

/// The end of the name of an index, which begins with the name that a single file would have.
const INDEX: &str = ".index.json";

/// Names of the weights, or of their index, in the order in which transformers looks for them.
pub(crate) const WEIGHTS: [&str; 4] =
    [SAFETENSORS, "model.safetensors.index.json", CHECKPOINT, "pytorch_model.bin.index.json"];

/// Which files hold the tensors of a module. The paths are relative to the model directory.
#[derive(Debug, Clone)]
pub(crate) struct WeightFiles {
    /// The files with the tensors: the only one, or all shards.
    pub(crate) files: Vec<PathBuf>,
    index: Option<PathBuf>,
}

impl WeightFiles {
    /// Finds the weights in a folder of the directory `root`.
    ///
    /// # Errors
    /// There are none, the index is invalid, or a shard is missing.
    pub(crate) fn find(root: &Path, folder: &Path) -> Result<Self, ModelError> {
        let Some(name) = WEIGHTS.into_iter().find(|name| root.join(folder).join(name).exists()) else {
            let what = format!("No such file, and no {CHECKPOINT} beside it");
            return Err(ModelError::content(&root.join(folder).join(SAFETENSORS), what));
        };
        if !name.ends_with(INDEX) {
            return Ok(Self { files: vec![folder.join(name)], index: None });
        }
        let index = folder.join(name);
        let shards = shards(&root.join(&index))?;
        if let Some(shard) = shards.iter().find(|shard| !root.join(folder).join(shard).exists()) {
            let what = format!("No such file, but {name} names it");
            return Err(ModelError::content(&root.join(folder).join(shard), what));
        }
        Ok(Self { files: shards.iter().map(|shard| folder.join(shard)).collect(), index: Some(index) })
    }

    /// The files of an encoder that is an ONNX file, which hold no tensors that embtune reads.
    pub(crate) fn of_onnx(files: Vec<PathBuf>) -> Self {
        Self { files, index: None }
    }

    /// Maps the files.
    ///
    /// # Errors
    /// A file is damaged, or does not hold the tensors that the index says.
    pub(crate) fn open(&self, root: &Path) -> Result<TensorFiles, ModelError> {
        match (&self.index, self.files.as_slice()) {
            (None, [file]) => TensorFiles::of_file(root.join(file)),
            (None, _) => Err(ModelError::content(root, "has no single file of weights")),
            (Some(index), _) => TensorFiles::of_index(root.join(index)),
        }
    }
}

/// Whether a file of [`WEIGHTS`] is an index of several files.
pub(crate) fn is_index(file: &Path) -> bool {
    file.to_string_lossy().ends_with(INDEX)
}

/// The names of the shards that an index lists, sorted.
///
/// # Errors
/// The index is invalid, or a name leads out of its folder.
pub(crate) fn shards(index: &Path) -> Result<Vec<String>, ModelError> {
    let shards: BTreeSet<String> = weight_map(index)?.into_values().collect();
    Ok(shards.into_iter().collect())
}

/// The shard of each tensor, from an index.
///
/// Source: `get_checkpoint_shard_files` in `transformers/utils/hub.py`.
fn weight_map(index: &Path) -> Result<BTreeMap<String, String>, ModelError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: Option<WeightMap>,
    }
    let refuse = |what: String| Err(ModelError::content(index, what));
    let Some(WeightMap(map)) = files::read_json::<Index>(index)?.weight_map else {
        return refuse("has no weight_map, which names the file of each tensor".into());
    };
    if map.is_empty() {
        return refuse("its weight_map is empty".into());
    }
    // `model.safetensors.index.json` lists safetensors files, `pytorch_model.bin.index.json` checkpoints.
    let name = index.file_name().unwrap_or_default().to_string_lossy();
    let extension = Path::new(name.trim_end_matches(INDEX)).extension();
    for (tensor, shard) in &map {
        let path = Path::new(shard);
        let is_inside = matches!(path.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
        if !is_inside || path.as_os_str().len() != shard.trim_end_matches('/').len() {
            return refuse(format!("the file of tensor \"{tensor}\", \"{shard}\", is not in its folder"));
        }
        if path.extension() != extension {
            let expected = extension.unwrap_or_default().to_string_lossy();
            return refuse(format!("the file of tensor \"{tensor}\", \"{shard}\", is not a .{expected} file"));
        }
    }
    Ok(map)
}

/// A map whose keys are unique, which JSON does not promise.
struct WeightMap(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the file of each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<WeightMap, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((tensor, shard)) = access.next_entry::<String, String>()? {
                    if map.contains_key(&tensor) {
                        return Err(A::Error::custom(format!("tensor \"{tensor}\" is listed twice")));
                    }
                    map.insert(tensor, shard);
                }
                Ok(WeightMap(map))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

/// Where a tensor's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place<'a> {
    /// Path of the file.
    pub file: &'a Path,
    /// The byte of the file at which the tensor begins.
    pub offset: usize,
}

/// The mapped tensors of a module, by name.
pub(crate) struct TensorFiles {
    /// The only file, or the index.
    main: PathBuf,
    files: Vec<(PathBuf, TensorFile)>,
    /// The index of the file that holds each tensor.
    owners: BTreeMap<String, usize>,
}

impl TensorFiles {
    /// Maps a single file, in the format that its name implies.
    pub(crate) fn of_file(path: PathBuf) -> Result<Self, ModelError> {
        let mut all = Self { main: path.clone(), files: Vec::new(), owners: BTreeMap::new() };
        all.add(path)?;
        Ok(all)
    }

    /// Maps all shards, and checks that each tensor is in the shard that the index says, and in no other.
    fn of_index(index: PathBuf) -> Result<Self, ModelError> {
        let map = weight_map(&index)?;
        let shards: BTreeSet<&String> = map.values().collect();
        let folder = index.parent().unwrap_or(Path::new(""));
        let name = index.file_name().unwrap_or_default().to_string_lossy();
        let mut all = Self { main: index.clone(), files: Vec::new(), owners: BTreeMap::new() };
        for shard in shards {
            let path = folder.join(shard);
            for tensor in all.add(path.clone())? {
                match map.get(&tensor) {
                    Some(listed) if listed == shard => {}
                    Some(listed) => {
                        let what = format!("tensor \"{tensor}\" is in this file, but {name} says {listed}");
                        return Err(ModelError::content(&path, what));
                    }
                    None => {
                        let what = format!("tensor \"{tensor}\" is not listed in {name}");
                        return Err(ModelError::content(&path, what));
                    }
                }
            }
        }
        if let Some((tensor, shard)) = map.iter().find(|(tensor, _)| !all.owners.contains_key(*tensor)) {
            let what = format!("no tensor \"{tensor}\", although {name} lists it");
            return Err(ModelError::content(&folder.join(shard), what));
        }
        Ok(all)
    }

    /// Adds a file, whose tensors replace those of the same name. Returns their names.
    pub(crate) fn add(&mut self, path: PathBuf) -> Result<Vec<String>, ModelError> {
        let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
        let file = if is_safetensors { TensorFile::open(&path)? } else { TensorFile::open_checkpoint(&path)? };
        let names = file.names();
        self.owners.extend(names.iter().map(|name| (name.clone(), self.files.len())));
        self.files.push((path, file));
        Ok(names)
    }

    /// The file that messages name: the only one, or the index.
    pub(crate) fn main(&self) -> &Path {
        &self.main
    }

    /// The files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Names of the tensors, file by file, in the order of their data.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.files.iter().enumerate().flat_map(|(index, (_, file))| {
            file.names().into_iter().filter(move |name| self.owners.get(name) == Some(&index))
        });
        names.collect()
    }

    fn owner(&self, name: &str) -> Option<&(PathBuf, TensorFile)> {
        self.files.get(*self.owners.get(name)?)
    }

    /// A tensor by name.
    pub(crate) fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.owner(name)?.1.get(name)
    }

    /// A tensor that must exist.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) fn require(&self, name: &str) -> Result<Tensor<'_>, ModelError> {
        self.get(name).ok_or_else(|| ModelError::content(&self.main, format!("no tensor \"{name}\"")))
    }

    /// Where a tensor's bytes are.
    pub(crate) fn place(&self, name: &str) -> Option<Place<'_>> {
        let (path, file) = self.owner(name)?;
        Some(Place { file: path, offset: file.offset(name)? })
    }

    /// The file that holds a tensor, for messages.
    pub(crate) fn file_of(&self, name: &str) -> &Path {
        self.owner(name).map_or(&self.main, |(path, _)| path)
    }
}
