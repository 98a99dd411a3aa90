//! Whether a file has the tensors of a model.

use std::path::Path;

use embtune_encoders::Parameter;
use embtune_tensors::{Dtype, TensorFile};

use crate::ModelError;

/// Refuses a file whose tensor `stored_name` is missing, has another shape, or is not made of floats.
pub(crate) fn check(parameter: &Parameter, file: &TensorFile, stored_name: &str) -> Result<(), ModelError> {
    let tensor = file.require(stored_name)?;
    let refuse = |what| Err(ModelError::content(Path::new(file.name()), what));
    if tensor.shape != parameter.shape {
        return refuse(format!("tensor \"{stored_name}\" must be {:?}, found {:?}", parameter.shape, tensor.shape));
    }
    if !matches!(tensor.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
        return refuse(format!("tensor \"{stored_name}\" is {:?}, and weights are F32, F16 or BF16", tensor.dtype));
    }
    Ok(())
}

/// Maps a file of tensors, in the format that its name implies.
pub(crate) fn open_tensors(path: &Path) -> Result<TensorFile, ModelError> {
    let is_safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
    Ok(if is_safetensors { TensorFile::open(path)? } else { TensorFile::open_checkpoint(path)? })
}
