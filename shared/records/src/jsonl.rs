//! Records as JSON Lines.

use std::io::{self, BufRead, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::{Field, FieldError, Lines, Location, Object, ReadError};

/// What can be read from, and written to, one line of JSON.
pub trait Record: Sized {
    /// Takes the record out of an object.
    ///
    /// # Errors
    /// A missing field or one of the wrong type, by name.
    fn from_object(object: Object) -> Result<Self, FieldError>;
}

impl Record for Object {
    fn from_object(object: Object) -> Result<Self, FieldError> {
        Ok(object)
    }
}

/// The records of an input, in order; blank lines are passed over.
pub struct Records<T, R> {
    lines: Lines<R>,
    record: PhantomData<T>,
}

impl<T: Record, R: BufRead> Records<T, R> {
    /// Records of `reader`, which messages call `name`, of at most as many bytes as `--max-record-bytes` says.
    pub fn new(name: impl Into<Arc<str>>, reader: R, max_record_bytes: usize) -> Self {
        Self { lines: Lines::new(name, reader, max_record_bytes), record: PhantomData }
    }

    /// The same of at most 16 MiB, for inputs that no flag is for.
    pub fn with_default_limit(name: impl Into<Arc<str>>, reader: R) -> Self {
        Self { lines: Lines::with_default_limit(name, reader), record: PhantomData }
    }

    /// An error about the record that was read last.
    pub fn error(&self, what: impl Into<String>) -> ReadError {
        self.lines.error(what)
    }

    /// Bytes of the line of the record that was read last.
    pub fn bytes(&self) -> usize {
        self.lines.bytes()
    }

    /// Where the record stands that was read last.
    pub fn location(&self) -> Location {
        self.lines.location()
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

/// The record of a line of JSON, or what is wrong with it; `None` of a blank line.
pub fn parse_line<T: Record>(line: &str) -> Option<Result<T, String>> {
    (!line.trim().is_empty()).then(|| parse(line))
}

fn parse<T: Record>(line: &str) -> Result<T, String> {
    if line.trim_start().starts_with('{') {
        let object = serde_json::from_str(line).map_err(not_json)?;
        return T::from_object(object).map_err(|error| error.to_string());
    }
    let other: Field = serde_json::from_str(line).map_err(not_json)?;
    Err(format!("expected a JSON object, found {}", other.kind()))
}

fn not_json(error: serde_json::Error) -> String {
    // serde_json counts lines inside the record, which has one: the column is what helps.
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {reason} (column {})", error.column())
}

/// Writes a record and a line feed.
///
/// # Errors
/// The writer's own.
pub fn write_json_line(object: &Object, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object).map_err(io::Error::from)?;
    out.write_all(b"\n")
}
