//! Errors of reading, and where in an input they occurred.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Why reading stopped, or why a line was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read any further.
    #[error("{source_name}")]
    Io {
        /// The input's name.
        source_name: String,
        /// The system's error.
        #[source]
        error: io::Error,
    },
    /// A line is malformed; the lines after it can still be read.
    #[error("{source_name}:{line}: {what}")]
    Record {
        /// The input's name.
        source_name: String,
        /// Counted from 1.
        line: u64,
        /// The expected and the found value, as text.
        what: String,
    },
    /// The file can be read, but has the wrong content.
    #[error("{source_name}: {what}")]
    Content {
        /// The input's name.
        source_name: String,
        /// The expected and the found value, as text.
        what: String,
    },
}

impl ReadError {
    pub(crate) fn content(source_name: &str, what: impl Into<String>) -> Self {
        Self::Content { source_name: source_name.to_owned(), what: what.into() }
    }

    /// Whether only one record is lost, so that reading can continue.
    pub fn is_recoverable(&self) -> bool {
        matches!(self, Self::Record { .. })
    }
}

/// A line of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The input's name.
    pub name: Arc<str>,
    /// Counted from 1.
    pub line: u64,
}

impl Location {
    /// An error about the record at this location.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Record { source_name: self.name.to_string(), line: self.line, what: what.into() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.line)
    }
}
