//! Whether a model's files have its tensors.

use embtune_encoders::Parameter;
use embtune_tensors::Dtype;

use crate::ModelError;
use crate::tensor_files::TensorFiles;

/// Refuses files whose tensor `stored_name` is missing, has another shape, or is not made of floats.
pub(crate) fn check(parameter: &Parameter, files: &TensorFiles, stored_name: &str) -> Result<(), ModelError> {
    let tensor = files.require(stored_name)?;
    let refuse = |what| Err(ModelError::content(files.file_of(stored_name), what));
    if tensor.shape != parameter.shape {
        return refuse(format!("tensor \"{stored_name}\" must be {:?}, found {:?}", parameter.shape, tensor.shape));
    }
    if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        return refuse(format!("tensor \"{stored_name}\" is {:?}, and weights are F32, F16 or BF16", tensor.dtype));
    }
    Ok(())
}
