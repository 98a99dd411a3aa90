//! The tensors that a model consists of, and whether its files have them.

use embtune_tensors::Dtype;

use crate::ModelError;
use crate::tensor_files::TensorFiles;

/// A tensor of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face name, without the prefix that some checkpoints add.
    pub name: String,
    /// Sizes, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
}

impl Parameter {
    /// Refuses files whose tensor `stored_name` is missing, has another shape, or is not made of floats.
    pub(crate) fn check(&self, files: &TensorFiles, stored_name: &str) -> Result<(), ModelError> {
        let tensor = files.require(stored_name)?;
        let refuse = |what| Err(ModelError::content(files.file_of(stored_name), what));
        if tensor.shape != self.shape {
            return refuse(format!("tensor \"{stored_name}\" must be {:?}, found {:?}", self.shape, tensor.shape));
        }
        if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return refuse(format!("tensor \"{stored_name}\" is {:?}, and weights are F32, F16 or BF16", tensor.dtype));
        }
        Ok(())
    }
}

/// A list of parameters under construction, by the stems of their names.
#[derive(Default)]
pub(crate) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Adds `stem.weight`.
    pub(crate) fn weight(&mut self, stem: &str, shape: &[usize]) {
        self.0.push(Parameter { name: format!("{stem}.weight"), shape: shape.to_vec() });
    }

    /// Adds `stem.weight` and `stem.bias`, which has the weight's first dimension.
    pub(crate) fn weight_and_bias(&mut self, stem: &str, shape: &[usize]) {
        self.weight(stem, shape);
        self.0.push(Parameter { name: format!("{stem}.bias"), shape: shape.iter().take(1).copied().collect() });
    }

    pub(crate) fn into_vec(self) -> Vec<Parameter> {
        self.0
    }
}
