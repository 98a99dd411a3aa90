//! JSON files of a model directory.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::ModelError;

/// Reads a JSON file that must be there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = fs::read(path).map_err(|error| ModelError::io(path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::content(path, error.to_string()))
}

/// Reads a JSON file that may be missing.
pub(crate) fn read_optional<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    match read(path) {
        Ok(value) => Ok(Some(value)),
        Err(ModelError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
