//! The model's weights, as external data of a graph or in memory.

use std::path::{Path, PathBuf};

use embtune_model::{ModelDir, ModelError, Weights};
use embtune_tensors::Dtype;

use crate::graph::{External, Graph, Value, to};
use crate::matrix::Matrix;
use crate::proto::DataType;

/// A model's weights, and the file that a graph refers to for them.
pub(crate) struct WeightSource {
    weights: Weights,
    location: String,
    /// Folder that `location` is relative to.
    pub(crate) folder: PathBuf,
}

impl WeightSource {
    /// Refers to the file with symbolic links resolved: ONNX Runtime refuses links that lead out of the folder, like
    /// those of the Hugging Face cache.
    pub(crate) fn resolved(model: &ModelDir) -> Result<Self, ModelError> {
        let path = model.weights_file();
        let real = path.canonicalize().map_err(|error| ModelError::Io { file: path.display().to_string(), error })?;
        let folder = real.parent().unwrap_or(Path::new("/")).to_owned();
        let location = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { weights: model.weights()?, location, folder })
    }

    /// Refers to the file by its name, for a graph that will be stored in the same folder.
    pub(crate) fn beside_graph(model: &ModelDir) -> Result<Self, ModelError> {
        let location = model.weights_file().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { weights: model.weights()?, location, folder: model.encoder_folder() })
    }

    /// A tensor as a value of the graph, of the type of hidden states.
    pub(crate) fn tensor(&self, graph: &mut Graph, name: &str) -> Result<Value, ModelError> {
        let tensor = self.weights.require(name)?;
        let offset = self.weights.offset(name).unwrap_or_default();
        Ok(self.external(graph, name, tensor.dtype, tensor.shape, offset, tensor.bytes.len()))
    }

    /// Bytes of the file as a value of the type of hidden states.
    fn external(
        &self,
        graph: &mut Graph,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        offset: usize,
        length: usize,
    ) -> Value {
        let data_type = match dtype {
            Dtype::F16 => DataType::Float16,
            Dtype::BF16 => DataType::Bfloat16,
            _ => DataType::Float,
        };
        let value = graph.external(name, data_type, shape, &External { location: &self.location, offset, length });
        let hidden_type = graph.hidden_type();
        // ONNX Runtime folds the Cast into a constant when it loads the graph.
        if data_type == hidden_type { value } else { graph.node("Cast", &[&value], &[to(hidden_type)]) }
    }

    /// Block number `index` of the rows of a tensor, in blocks of this shape, of the type of hidden states.
    pub(crate) fn rows(
        &self,
        graph: &mut Graph,
        name: &str,
        index: usize,
        shape: [usize; 2],
    ) -> Result<Value, ModelError> {
        let tensor = self.weights.require(name)?;
        let length = shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
        let offset = self.weights.offset(name).unwrap_or_default() + index * length;
        Ok(self.external(graph, &format!("{name}.{index}"), tensor.dtype, &shape, offset, length))
    }

    /// A weight `[out, in]`, as f32 in memory.
    pub(crate) fn matrix(&self, name: &str) -> Result<Matrix, ModelError> {
        let columns = self.weights.require(name)?.shape.last().copied().unwrap_or(0);
        Ok(Matrix { values: self.floats(name)?, columns })
    }

    /// The values of a tensor, as f32 in memory.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let values = self.weights.require(name)?.to_f32().map_err(|kind| ModelError::Content {
            file: self.location.clone(),
            what: format!("tensor \"{name}\" is {kind}, not a float"),
        })?;
        Ok(values.into_owned())
    }
}
