use std::io;

/// Why a safetensors file was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// The system refused.
    #[error("{file}: {error}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not safetensors, or is damaged.
    #[error("{file}: not a valid safetensors file: {what}")]
    Format {
        /// The file's name.
        file: String,
        /// The rule that it breaks.
        what: String,
    },
    /// The file is sound but is not what was asked for.
    #[error("{file}: {what}")]
    Content {
        /// The file's name.
        file: String,
        /// What was expected and what was found.
        what: String,
    },
    /// Two files of vectors do not belong together.
    #[error("{0}")]
    Space(String),
    /// What is to be written breaks a rule of the format.
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
