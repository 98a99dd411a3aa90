//! Names for content: two directories with the same files have the same name.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use embtune_tensors::open_regular;
use xxhash_rust::xxh3::Xxh3;

use crate::ModelError;

/// XXH3, 128 bits, over the names, lengths and bytes of the files, which are relative to
/// `root`, and over what else there is to say; a file that is missing counts as such.
///
/// It tells contents apart, it does not protect against a forger; being memory-bound it costs a large model
/// a fraction of the time that loading it does.
pub(crate) fn of_files(root: &Path, files: &[PathBuf], beside: &str) -> Result<String, ModelError> {
    let mut hash = Xxh3::new();
    let mut buffer = vec![0; 1 << 20];
    for file in files {
        let path = root.join(file);
        let mut opened = match open_regular(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ModelError::io(&path, error)),
        };
        hash.update(file.as_os_str().as_encoded_bytes());
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
    hash.update(beside.as_bytes());
    Ok(format!("xxh3:{:032x}", hash.digest128()))
}
