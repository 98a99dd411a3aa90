use std::io;

/// Why reading stopped, or why a line was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read further.
    #[error("{source_name}")]
    Io {
        /// The input's name.
        source_name: String,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// One line is not what was expected; the lines behind it can still be read.
    #[error("{source_name}:{line}: {what}")]
    Record {
        /// The input's name.
        source_name: String,
        /// Counted from 1.
        line: u64,
        /// What was expected and what was found.
        what: String,
    },
    /// The file can be read but is not what was asked for.
    #[error("{source_name}: {what}")]
    Content {
        /// The input's name.
        source_name: String,
        /// What was expected and what was found.
        what: String,
    },
}

impl ReadError {
    pub(crate) fn content(source_name: &str, what: impl Into<String>) -> Self {
        Self::Content { source_name: source_name.to_owned(), what: what.into() }
    }

    /// Whether only one record is lost, so that reading can go on.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}
