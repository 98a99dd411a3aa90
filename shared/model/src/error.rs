use embtune_tensors::TensorsError;

/// Why a model directory cannot be used or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file cannot be read or written.
    #[error("{file}: {error}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file of the directory does not say what it must.
    #[error("{file}: {what}")]
    Content {
        /// The file's name.
        file: String,
        /// What was expected and what was found.
        what: String,
    },
    /// The model is sound, but is of a kind that embtune does not know.
    #[error("{directory}: {what}")]
    Unsupported {
        /// The model directory.
        directory: String,
        /// The property by name, and what is supported.
        what: String,
    },
    /// The weights cannot be read.
    #[error(transparent)]
    Weights(#[from] TensorsError),
    /// A Hugging Face name that cannot be fetched.
    #[error("{name}: {what}")]
    Hub {
        /// The name as it was given.
        name: String,
        /// Why.
        what: String,
    },
}

impl ModelError {
    pub(crate) fn io(file: &std::path::Path, error: std::io::Error) -> Self {
        Self::Io { file: file.display().to_string(), error }
    }

    pub(crate) fn content(file: &std::path::Path, what: impl Into<String>) -> Self {
        Self::Content { file: file.display().to_string(), what: what.into() }
    }
}
