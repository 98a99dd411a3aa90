//! Why ONNX Runtime cannot be used.

use std::path::{Path, PathBuf};

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library is in none of the places that were searched.
    #[error("ONNX Runtime is not installed: looked for {}\nhint: run `make deps`, or set ORT_DYLIB_PATH to libonnxruntime.so", list(.0))]
    Missing(Vec<PathBuf>),
    /// The library does not load.
    #[error("{file}: cannot be loaded as ONNX Runtime: {what}")]
    Load {
        /// The library's file.
        file: String,
        /// The reason.
        what: String,
    },
    /// The requested device cannot run.
    #[error(
        "device {device} cannot run: {what}\nhint: `make deps CUDA=1` installs the CUDA libraries; --device cpu needs none"
    )]
    Device {
        /// The device.
        device: String,
        /// The reason.
        what: String,
    },
    /// ONNX Runtime refused a file, or failed to run it.
    #[error("{file}: ONNX Runtime: {what}")]
    File {
        /// The file.
        file: String,
        /// The reason.
        what: String,
    },
    /// ONNX Runtime refused a graph, or failed to run it.
    #[error("ONNX Runtime: {0}")]
    Run(String),
}

impl EngineError {
    /// Adds the file that the graph came from.
    pub fn of_file(self, file: &Path) -> Self {
        match self {
            Self::Run(what) => Self::File { file: file.display().to_string(), what },
            other => other,
        }
    }
}

impl From<ort::Error> for EngineError {
    fn from(error: ort::Error) -> Self {
        Self::Run(error.to_string())
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
