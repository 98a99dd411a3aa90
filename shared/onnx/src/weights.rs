//! Weights as external data inside the model's own file.

use std::path::{Path, PathBuf};

use embtune_model::{ModelDir, ModelError, Weights};
use embtune_tensors::Dtype;

use crate::encoder::Matrix;
use crate::graph::{External, Graph, Value, to};
use crate::proto::DataType;

/// A model's weights, and the file that a graph names for them.
pub(crate) struct WeightSource {
    weights: Weights,
    location: String,
    /// Folder that `location` is relative to.
    pub(crate) folder: PathBuf,
}

impl WeightSource {
    /// The file's real place: ONNX Runtime refuses external data behind a link that leads out of the folder, as the
    /// Hugging Face cache has them.
    pub(crate) fn resolved(model: &ModelDir) -> Result<Self, ModelError> {
        let path = model.weights_file();
        let real = path.canonicalize().map_err(|error| ModelError::Io { file: path.display().to_string(), error })?;
        let folder = real.parent().unwrap_or(Path::new("/")).to_owned();
        let location = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { weights: model.weights()?, location, folder })
    }

    /// The file beside which the graph will stand.
    pub(crate) fn sibling(model: &ModelDir) -> Result<Self, ModelError> {
        let location = model.weights_file().file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { weights: model.weights()?, location, folder: model.encoder_folder() })
    }

    /// A tensor of the model as a value of the graph, of the type of hidden states.
    pub(crate) fn tensor(&self, graph: &mut Graph, name: &str) -> Result<Value, ModelError> {
        let tensor = self.weights.require(name)?;
        let data_type = match tensor.dtype {
            Dtype::F16 => DataType::Float16,
            Dtype::BF16 => DataType::Bfloat16,
            _ => DataType::Float,
        };
        let external = External {
            location: &self.location,
            offset: self.weights.offset(name).unwrap_or_default(),
            length: tensor.bytes.len(),
        };
        let value = graph.external(name, data_type, tensor.shape, &external);
        let number = graph.number_type();
        // Folded into a constant when the graph is loaded.
        Ok(if data_type == number { value } else { graph.node("Cast", &[&value], &[to(number)]) })
    }

    /// A weight `[out, in]` as f32.
    pub(crate) fn matrix(&self, name: &str) -> Result<Matrix, ModelError> {
        let columns = self.weights.require(name)?.shape.last().copied().unwrap_or(0);
        Ok(Matrix { values: self.floats(name)?, columns })
    }

    /// A tensor's numbers as f32.
    pub(crate) fn floats(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let numbers = self.weights.require(name)?.to_f32().map_err(|kind| ModelError::Content {
            file: self.location.clone(),
            what: format!("tensor \"{name}\" is {kind}, not a float"),
        })?;
        Ok(numbers.into_owned())
    }
}
