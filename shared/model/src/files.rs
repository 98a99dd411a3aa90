//! Reading the files of a model directory.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use embtune_tensors::{open_regular, read_regular};
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::Xxh3;

use crate::ModelError;

/// Maximum size of a file of settings in bytes. The largest real ones, which list thousands of classes, have 1 MB.
const MAX_SETTINGS_BYTES: u64 = 32 << 20;
/// Maximum size of a file that may contain a vocabulary, in bytes. The largest real ones, with 260,000 tokens, have 35
/// MB.
const MAX_VOCABULARY_BYTES: u64 = 512 << 20;

/// Reads a file that may contain a vocabulary.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, ModelError> {
    read_regular(path, MAX_VOCABULARY_BYTES).map_err(|error| ModelError::io(path, error))
}

/// Reads a JSON file of settings.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = read_regular(path, MAX_SETTINGS_BYTES).map_err(|error| ModelError::io(path, error))?;
    parse_json(path, &bytes)
}

/// Reads a JSON file of settings that may be missing.
pub(crate) fn read_optional_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    match read_json(path) {
        Ok(value) => Ok(Some(value)),
        Err(ModelError::Io { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Parses the content of a JSON file.
pub(crate) fn parse_json<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, ModelError> {
    serde_json::from_slice(bytes).map_err(|error| ModelError::content(path, error.to_string()))
}

/// A hash that identifies the content of some files, which are relative to `root`, and of `extra`: XXH3 with 128 bits
/// over names, lengths and bytes. Files that are missing are left out.
///
/// It distinguishes contents, but does not protect against forgery. It is limited by memory bandwidth, and takes a
/// fraction of the time that loading the model does.
pub(crate) fn fingerprint(root: &Path, files: &[PathBuf], extra: &str) -> Result<String, ModelError> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    for file in files {
        let path = root.join(file);
        let mut opened = match open_regular(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ModelError::io(&path, error)),
        };
        // The place of a file outside of the folder says nothing about its content.
        let name = if file.is_absolute() { file.file_name().unwrap_or_default() } else { file.as_os_str() };
        hash.update(name.as_encoded_bytes());
        let mut length = 0;
        loop {
            match opened.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    length += read;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ModelError::io(&path, error)),
            }
        }
        hash.update(&(length as u64).to_le_bytes());
    }
    hash.update(extra.as_bytes());
    Ok(format!("xxh3:{:032x}", hash.digest128()))
}
