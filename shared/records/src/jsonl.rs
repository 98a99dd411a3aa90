//! Records as JSON Lines.

use std::io::{self, BufRead, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::{Field, Lines, Object, ReadError};

/// A type that can be read from a line of JSON.
pub trait Record: Sized {
    /// Converts an object to the record.
    ///
    /// # Errors
    /// A missing field or one of the wrong type, by name.
    fn from_object(object: Object) -> Result<Self, String>;
}

impl Record for Object {
    fn from_object(object: Object) -> Result<Self, String> {
        Ok(object)
    }
}

/// The records of one input, in order; blank lines are skipped.
pub struct Records<T, R> {
    lines: Lines<R>,
    record: PhantomData<T>,
}

impl<T: Record, R: BufRead> Records<T, R> {
    /// Records of `reader`, which messages call `name`, of at most `max_record_bytes` bytes each.
    pub fn new(name: impl Into<Arc<str>>, reader: R, max_record_bytes: usize) -> Self {
        Self { lines: Lines::new(name, reader, max_record_bytes), record: PhantomData }
    }

    /// Records of at most 16 MiB, for inputs that have no flag for the limit.
    pub fn with_default_limit(name: impl Into<Arc<str>>, reader: R) -> Self {
        Self { lines: Lines::with_default_limit(name, reader), record: PhantomData }
    }

    /// An error about the last record.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        self.lines.error(what)
    }
}

impl<T: Record, R: BufRead> Iterator for Records<T, R> {
    type Item = Result<T, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let parsed = match self.lines.next_line()? {
                Err(error) => return Some(Err(error)),
                Ok(line) => parse_line(line),
            };
            if let Some(parsed) = parsed {
                return Some(parsed.map_err(|what| self.lines.error(what)));
            }
        }
    }
}

/// Parses a line of JSON; `None` for a blank line. The error describes its fault.
pub fn parse_line<T: Record>(line: &str) -> Option<Result<T, String>> {
    (!line.trim().is_empty()).then(|| parse(line))
}

fn parse<T: Record>(line: &str) -> Result<T, String> {
    if line.trim_start().starts_with('{') {
        let object = serde_json::from_str(line).map_err(not_json)?;
        return T::from_object(object);
    }
    let other: Field = serde_json::from_str(line).map_err(not_json)?;
    Err(format!("expected a JSON object, found {}", other.kind()))
}

fn not_json(error: serde_json::Error) -> String {
    // serde_json counts lines within the record, which is one line: only the column helps.
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {reason} (column {})", error.column())
}

/// Writes a record as a line of JSON.
///
/// # Errors
/// The writer's own.
pub fn write_json_line(object: &Object, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
