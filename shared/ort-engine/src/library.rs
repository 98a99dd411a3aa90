//! Finding and loading ONNX Runtime's library.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::EngineError;

/// Where `make deps` installs wheels; the path is fixed when this program is built.
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.deps/packages");

/// The library's file: `requested` if there is one, else the first file in the usual places.
///
/// # Errors
/// [`EngineError::Missing`], which lists the places that were searched.
pub(crate) fn find(requested: Option<&Path>) -> Result<PathBuf, EngineError> {
    if let Some(path) = requested {
        return if path.is_file() { Ok(path.to_owned()) } else { Err(EngineError::Missing(vec![path.to_owned()])) };
    }
    let beside_program = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let folders: Vec<PathBuf> = beside_program.into_iter().chain([installed_folder()]).collect();
    folders
        .iter()
        .find_map(|folder| library_in(folder))
        .ok_or_else(|| EngineError::Missing(folders.iter().map(|folder| folder.join("libonnxruntime.so")).collect()))
}

/// Loads the library. A process has only one: later calls return the environment of the library that was loaded first.
///
/// # Errors
/// [`EngineError::Load`].
pub(crate) fn load(file: &Path) -> Result<Environment, EngineError> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let load_error = |what: String| EngineError::Load { file: file.display().to_string(), what };
    let environment = ort::init_from(file)
        .map_err(|error| load_error(error.to_string()))?
        .with_name("embtune")
        .with_telemetry(false)
        .build()
        .map_err(|error| load_error(error.to_string()))?;
    // Errors are returned as values; the library's own log would only repeat them on stderr.
    environment.set_log_level(LogLevel::Fatal);
    Ok(loaded.insert(environment).clone())
}

/// Where `make deps` installs the library. If the folder exists, its path is resolved, so that messages show it without
/// `..`.
fn installed_folder() -> PathBuf {
    let folder = Path::new(PACKAGES).join("onnxruntime/capi");
    folder.canonicalize().unwrap_or(folder)
}

/// `libonnxruntime.so`, perhaps followed by a version, as in wheels.
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
