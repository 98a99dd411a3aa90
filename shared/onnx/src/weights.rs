//! The model's weights, as external data of a graph or in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use embtune_model::{ModelDir, ModelError, Weights};
use embtune_tensors::Dtype;

use crate::graph::{External, Graph, Value, to};
use crate::matrix::Matrix;
use crate::proto::DataType;

/// A model's weights, and the files that a graph refers to for them.
pub(crate) struct WeightSource {
    weights: Weights,
    /// What the graph calls each file: its path, relative to `folder`.
    locations: BTreeMap<PathBuf, String>,
    /// Folder that the locations are relative to.
    pub(crate) folder: PathBuf,
}

impl WeightSource {
    /// Refers to the files with symbolic links resolved: ONNX Runtime refuses links that lead out of the folder, like
    /// those of the Hugging Face cache.
    pub(crate) fn resolved(model: &ModelDir) -> Result<Self, ModelError> {
        let weights = model.weights()?;
        let real = |path: &Path| match path.canonicalize() {
            Ok(real) => Ok((path.to_owned(), real)),
            Err(error) => Err(ModelError::Io { file: path.display().to_string(), error }),
        };
        let files: BTreeMap<PathBuf, PathBuf> = weights.files().map(real).collect::<Result<_, _>>()?;
        let folder = common_folder(files.values());
        let location = |file: &Path| file.strip_prefix(&folder).unwrap_or(file).to_string_lossy().into_owned();
        let locations = files.iter().map(|(path, real)| (path.clone(), location(real))).collect();
        Ok(Self { weights, locations, folder })
    }

    /// Refers to the files by their names, for a graph that will be stored in the same folder.
    ///
    /// # Errors
    /// The weights cannot be read, or are in another folder.
    pub(crate) fn beside_graph(model: &ModelDir) -> Result<Self, ModelError> {
        let weights = model.weights()?;
        let folder = model.encoder_folder();
        let adapter = || ModelError::Unsupported {
            directory: model.adapter_folder().unwrap_or(model.root()).display().to_string(),
            what: "is an adapter, whose merged weights are in no file beside it\n\
                   hint: merge it (peft: merge_and_unload) and save the model"
                .into(),
        };
        let location = |path: &Path| match path.strip_prefix(&folder) {
            Ok(name) => Ok((path.to_owned(), name.to_string_lossy().into_owned())),
            Err(_) => Err(adapter()),
        };
        let locations = weights.files().map(location).collect::<Result<_, _>>()?;
        Ok(Self { weights, locations, folder })
    }

    /// A tensor as a value of the graph, of the type of hidden states.
    pub(crate) fn tensor(&self, graph: &mut Graph, name: &str) -> Result<Value, ModelError> {
        let tensor = self.weights.require(name)?;
        self.external(graph, name, name, tensor.shape, 0)
    }

    /// Block number `index` of the rows of a tensor, in blocks of this shape, of the type of hidden states.
    pub(crate) fn rows(
        &self,
        graph: &mut Graph,
        name: &str,
        index: usize,
        shape: [usize; 2],
    ) -> Result<Value, ModelError> {
        self.external(graph, name, &format!("{name}.{index}"), &shape, index)
    }

    /// Block number `index` of the tensor `name`, in blocks of this shape, as the value `value`.
    fn external(
        &self,
        graph: &mut Graph,
        name: &str,
        value: &str,
        shape: &[usize],
        index: usize,
    ) -> Result<Value, ModelError> {
        let dtype = self.weights.require(name)?.dtype;
        let data_type = match dtype {
            Dtype::F16 => DataType::Float16,
            Dtype::BF16 => DataType::Bfloat16,
            _ => DataType::Float,
        };
        let elsewhere = || ModelError::Content { file: name.into(), what: "is not a tensor of the encoder".into() };
        let place = self.weights.place(name).ok_or_else(elsewhere)?;
        let location = self.locations.get(place.file).ok_or_else(elsewhere)?;
        let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        let external = External { location, offset: place.offset + index * length, length };
        let value = graph.external(value, data_type, shape, &external);
        let hidden_type = graph.hidden_type();
        // ONNX Runtime folds the Cast into a constant when it loads the graph.
        Ok(if data_type == hidden_type { value } else { graph.node("Cast", &[&value], &[to(hidden_type)]) })
    }

    /// A weight `[out, in]`, as f32 in memory.
    pub(crate) fn matrix(&self, name: &str) -> Result<Matrix, ModelError> {
        let columns = self.weights.require(name)?.shape.last().copied().unwrap_or(0);
        Ok(Matrix { values: self.floats(name)?, columns })
    }

    /// The values of a tensor, as f32 in memory.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let values = self.weights.require(name)?.to_f32().map_err(|kind| ModelError::Content {
            file: self.weights.place(name).map_or_else(String::new, |place| place.file.display().to_string()),
            what: format!("tensor \"{name}\" is {kind}, not a float"),
        })?;
        Ok(values.into_owned())
    }
}

/// The innermost folder that holds all of these files, which are absolute paths.
fn common_folder<'a>(mut files: impl Iterator<Item = &'a PathBuf>) -> PathBuf {
    let mut folder = files.next().and_then(|file| file.parent()).unwrap_or(Path::new("/")).to_owned();
    for file in files {
        while !file.starts_with(&folder) && folder.pop() {}
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_holds_all_files() {
        let folder = |files: &[&str]| common_folder(files.iter().map(PathBuf::from).collect::<Vec<_>>().iter());
        assert_eq!(folder(&["/a/b/one"]), Path::new("/a/b"));
        assert_eq!(folder(&["/a/b/one", "/a/b/two"]), Path::new("/a/b"));
        assert_eq!(folder(&["/a/b/one", "/a/bc/two", "/a/b/d/three"]), Path::new("/a"));
        assert_eq!(folder(&["/tmp/one", "/home/two"]), Path::new("/"));
    }
}
