//! Why a model directory cannot be used or written.

use std::io;
use std::path::Path;

use embtune_tensors::TensorsError;

/// Why a model directory cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read or written.
    #[error("{file}: {error}")]
    Io {
        /// The file's name.
        file: String,
        /// The system's error.
        error: io::Error,
    },
    /// A file of the directory has invalid content.
    #[error("{file}: {what}")]
    Content {
        /// The file's name.
        file: String,
        /// The expected and the found value, as text.
        what: String,
    },
    /// The model is valid, but of a kind that embtune does not support.
    #[error("{directory}: {what}")]
    Unsupported {
        /// The model directory.
        directory: String,
        /// The name of the property, and the supported values.
        what: String,
    },
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] TensorsError),
    /// A model cannot be fetched from the Hugging Face hub.
    #[error("{name}: {what}")]
    Hub {
        /// The name of the model.
        name: String,
        /// The reason.
        what: String,
    },
}

impl ModelError {
    pub(crate) fn io(file: &Path, error: io::Error) -> Self {
        Self::Io { file: file.display().to_string(), error }
    }

    pub(crate) fn content(file: &Path, what: impl Into<String>) -> Self {
        Self::Content { file: file.display().to_string(), what: what.into() }
    }
}
