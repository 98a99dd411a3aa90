//! Where ONNX Runtime's library is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::EngineError;

/// Where `make deps` puts wheels, as it was when this program was built.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.deps/packages");

/// The library's file: the one that was named, else the first that is there.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, EngineError> {
    if let Some(path) = named {
        return if path.is_file() { Ok(path.to_owned()) } else { Err(EngineError::Missing(vec![path.to_owned()])) };
    }
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let folders: Vec<PathBuf> = beside.into_iter().chain([installed()]).collect();
    folders
        .iter()
        .find_map(|folder| library_in(folder))
        .ok_or_else(|| EngineError::Missing(folders.iter().map(|folder| folder.join("libonnxruntime.so")).collect()))
}

/// Where `make deps` has put it; without the `..` when it is there, for messages.
fn installed() -> PathBuf {
    let folder = Path::new(PACKAGES).join("onnxruntime/capi");
    folder.canonicalize().unwrap_or(folder)
}

/// `libonnxruntime.so`, or with a version behind it, as wheels have it.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.strip_prefix("libonnxruntime.so").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
        .collect();
    found.sort();
    found.pop()
}
