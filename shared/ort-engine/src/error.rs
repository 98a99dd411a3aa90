use std::path::{Path, PathBuf};

/// Why ONNX Runtime cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The library is nowhere.
    #[error("ONNX Runtime is not installed: looked for {}\nhint: run `make deps`, or set ORT_DYLIB_PATH to libonnxruntime.so", list(.0))]
    Missing(Vec<PathBuf>),
    /// The library does not load.
    #[error("{file}: cannot be loaded as ONNX Runtime: {what}")]
    Load {
        /// The library.
        file: String,
        /// Why.
        what: String,
    },
    /// The device that was asked for cannot run.
    #[error(
        "device {device} cannot run: {what}\nhint: `make deps CUDA=1` installs the CUDA libraries; --device cpu does without"
    )]
    Device {
        /// The device.
        device: String,
        /// Why.
        what: String,
    },
    /// ONNX Runtime refused a file, or a run of it.
    #[error("{file}: ONNX Runtime: {what}")]
    File {
        /// The file.
        file: String,
        /// Why.
        what: String,
    },
    /// ONNX Runtime refused a graph or a run.
    #[error("ONNX Runtime: {0}")]
    Run(String),
}

impl EngineError {
    /// The same, of a graph that came from a file.
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
