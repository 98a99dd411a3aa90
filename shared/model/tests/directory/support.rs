//! Fixtures, and copies of them that a test may change.

use std::fs;
use std::path::{Path, PathBuf};

use embtune_tensors::TensorFile;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/parity").join(name)
}

/// A fixture whose encoder is an ONNX file.
pub(crate) fn onnx_fixture(name: &str) -> PathBuf {
    fixture("../foreign").join(name)
}

/// A copy of a [`fixture`].
pub(crate) fn copy(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy_into(&fixture(name), directory.path());
    directory
}

fn copy_into(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_into(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

pub(crate) fn edit(directory: &Path, file: &str, from: &str, to: &str) {
    let text = fs::read_to_string(directory.join(file)).unwrap();
    assert!(text.contains(from), "{file} holds {from}");
    fs::write(directory.join(file), text.replace(from, to)).unwrap();
}

/// The names in the file of weights of a directory.
pub(crate) fn tensor_names(directory: &Path) -> Vec<String> {
    let path = directory.join("model.safetensors");
    let file = if path.exists() {
        TensorFile::open(&path)
    } else {
        TensorFile::open_checkpoint(&directory.join("pytorch_model.bin"))
    };
    file.unwrap().names()
}
