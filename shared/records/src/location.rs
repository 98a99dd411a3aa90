//! Where a record stands.

use std::fmt;
use std::sync::Arc;

use crate::ReadError;

/// A line of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The input's name.
    pub name: Arc<str>,
    /// Counted from 1.
    pub line: u64,
}

impl Location {
    /// An error about what stands there.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::Record { source_name: self.name.to_string(), line: self.line, what: what.into() }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.line)
    }
}
