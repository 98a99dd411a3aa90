//! Errors of files of tensors.

use std::io;

/// Why a file of tensors was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// An error of the system.
    #[error("{file}: {error}")]
    Io {
        /// The file's name.
        file: String,
        /// The system's error.
        error: io::Error,
    },
    /// The file is not in the safetensors format, or is damaged.
    #[error("{file}: not a valid safetensors file: {what}")]
    Format {
        /// The file's name.
        file: String,
        /// The rule of the format that it breaks.
        what: String,
    },
    /// The file is valid but has the wrong content.
    #[error("{file}: {what}")]
    Content {
        /// The file's name.
        file: String,
        /// The expected and the found value, as text.
        what: String,
    },
    /// Two files of vectors do not belong together.
    #[error("{0}")]
    Space(String),
    /// Data that cannot be written in the format.
    #[error("{0}")]
    Write(String),
}

impl TensorsError {
    pub(crate) fn io(file: &str, error: io::Error) -> Self {
        Self::Io { file: file.to_owned(), error }
    }

    pub(crate) fn content(file: &str, what: impl Into<String>) -> Self {
        Self::Content { file: file.to_owned(), what: what.into() }
    }
}
