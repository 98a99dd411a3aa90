//! Rows as one object: of each query, an object of its documents with their numbers (BEIR, ranx, pytrec_eval).

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::json_lines::written;
use super::{Role, Row, Rows, bad_id, give};
use crate::{Field, Location, ReadError};

/// Bytes without a quote after which a file is none: the ids are strings.
const MOST_UNQUOTED: usize = 16 << 20;

pub(super) fn read<T: Rows>(name: &str, mut reader: impl BufRead, rows: &mut T) -> Result<(), ReadError> {
    let failed = |error| ReadError::Io { source_name: name.to_owned(), error };
    if reader.fill_buf().map_err(failed)?.starts_with("\u{feff}".as_bytes()) {
        reader.consume(3);
    }
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Quoted { reader, since_quote: 0 }));
    let taken = Queries(rows).deserialize(&mut json).and_then(|()| json.end());
    taken.map_err(|error| match error.io_error_kind() {
        Some(_) => failed(error.into()),
        None => refused(name, &error),
    })
}

/// An error at its line.
fn refused(name: &str, error: &serde_json::Error) -> ReadError {
    let (place, reason) = (Location { name: name.into(), line: error.line() as u64 }, error.to_string());
    let reason = reason.split(" at line ").next().unwrap_or_default();
    if error.is_data() {
        return place.error(reason);
    }
    let is_value = reason == "expected value";
    let hint = if is_value { "\nhint: NaN and Infinity, which Python writes, are no numbers in JSON" } else { "" };
    place.error(format!("not JSON: {reason} (column {}){hint}", error.column()))
}

/// A reader that ends a string without end.
struct Quoted<R> {
    reader: R,
    since_quote: usize,
}

impl<R: Read> Read for Quoted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.since_quote = match buffer[..count].iter().rposition(|byte| *byte == b'"') {
            Some(last) => count - last,
            None => self.since_quote + count,
        };
        if self.since_quote > MOST_UNQUOTED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "16 MiB without a quote: no object of ids"));
        }
        Ok(count)
    }
}

/// All queries.
struct Queries<'a, T>(&'a mut T);

impl<'de, T: Rows> DeserializeSeed<'de> for Queries<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Rows> Visitor<'de> for Queries<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(query) = map.next_key::<String>()? {
            if let Some(what) = bad_id(Role::Query, &query) {
                return Err(A::Error::custom(what));
            }
            if !self.0.start(&query) {
                return Err(A::Error::custom(format!("query \"{query}\" is there twice")));
            }
            map.next_value_seed(Documents { query: &query, rows: self.0 })?;
        }
        Ok(())
    }
}

/// The documents of a query.
struct Documents<'a, T> {
    query: &'a str,
    rows: &'a mut T,
}

impl<'de, T: Rows> DeserializeSeed<'de> for Documents<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Rows> Visitor<'de> for Documents<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{query: {{document: {}}}}}", T::NUMBER)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((document, value)) = map.next_entry::<String, serde_json::Value>()? {
            let value = Field::from(value);
            let number = written(&value).ok_or_else(|| {
                let (query, kind) = (self.query, value.kind());
                A::Error::custom(format!(
                    "expected {{query: {{document: {}}}}}, found {kind} for \"{document}\" of \"{query}\"",
                    T::NUMBER
                ))
            })?;
            let row = Row { query: self.query, document: &document, number: &number };
            give(row, self.rows).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(number) = T::LISTED else {
            let query = self.query;
            return Err(A::Error::custom(format!("a list for \"{query}\", which has no {}s", T::NUMBER)));
        };
        while let Some(document) = list.next_element::<String>()? {
            let row = Row { query: self.query, document: &document, number };
            give(row, self.rows).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
