//! JSON files of a model directory.

use std::io;
use std::path::Path;

use embtune_tensors::read_regular;
use serde::de::DeserializeOwned;

use crate::{ModelError, tokenizer};

/// Most bytes of a file of settings: the largest real ones, with the names of thousands of classes, have 1 MB.
const MOST_OF_SETTINGS: u64 = 32 << 20;
/// Most bytes of a file that holds a vocabulary: the largest real ones, with 260,000 tokens, have 35 MB.
const MOST_OF_VOCABULARY: u64 = 512 << 20;

/// The bytes of a file that must be there, and may hold a vocabulary.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, ModelError> {
    read_regular(path, MOST_OF_VOCABULARY).map_err(|error| ModelError::io(path, error))
}

/// Reads a JSON file that must be there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let most = if path.ends_with(tokenizer::FILE) { MOST_OF_VOCABULARY } else { MOST_OF_SETTINGS };
    let bytes = read_regular(path, most).map_err(|error| ModelError::io(path, error))?;
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
