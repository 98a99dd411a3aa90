//! Rows as JSON: an object per line, or one object with an object of documents for each query (BEIR, ranx,
//! pytrec_eval).

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{Role, Row, RowCollector, add, find_role, id_error};
use crate::object::id;
use crate::{Field, Location, Object, ReadError, Records};

/// Bytes without a quote after which a file is refused: ids are strings, so there must be one.
const MOST_UNQUOTED: usize = 16 << 20;

/// Whether a file that begins with these bytes has a row per line: its first line is an object with other values than
/// objects and lists.
pub(super) fn is_row(start: &[u8]) -> bool {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let object: Result<Object, _> = serde_json::from_slice(line);
    object.is_ok_and(|object| object.iter().any(|(_, value)| !matches!(value.kind(), "an object" | "an array")))
}

pub(super) fn read_lines<T: RowCollector>(name: &str, reader: impl BufRead, rows: &mut T) -> Result<(), ReadError> {
    let mut records = Records::<Object, _>::with_default_limit(name, reader);
    while let Some(object) = records.next() {
        take(&object?, rows).map_err(|what| records.error(what))?;
    }
    Ok(())
}

fn take<T: RowCollector>(object: &Object, rows: &mut T) -> Result<(), String> {
    let fields: Vec<(&str, &Field)> = object.iter().filter(|(_, value)| !value.is_null()).collect();
    let field = |role| find_role::<T>(role, fields.iter().map(|(name, _)| *name)).map(|index| fields[index]);
    let id_of = |role: Role| -> Result<String, String> {
        let (name, value) = field(role).ok_or_else(|| missing(role, object))?;
        id(value).ok_or_else(|| format!("field \"{name}\" must be a string or a number, found {}", value.kind()))
    };
    let (query, document) = (id_of(Role::Query)?, id_of(Role::Document)?);
    let (name, value) = field(Role::Value).ok_or_else(|| missing(Role::Value, object))?;
    let value =
        number_text(value).ok_or_else(|| format!("field \"{name}\" must be a number, found {}", value.kind()))?;
    add(Row { query: &query, document: &document, value: &value }, rows)
}

/// The text of a number as it is written, with or without quotes.
fn number_text(value: &Field) -> Option<Cow<'_, str>> {
    value.as_str().map(Cow::from).or_else(|| value.number())
}

fn missing(role: Role, object: &Object) -> String {
    let names = match role {
        Role::Query => "\"query_id\"",
        Role::Document => "\"doc_id\" or \"corpus_id\"",
        Role::Value => "\"score\" or \"relevance\"",
    };
    let hint = match object.get("results").is_some() {
        true => {
            "\nhint: jq -r '.query_id as $q | .results[] | \"\\($q)\\tQ0\\t\\(.corpus_id)\\t0\\t\\(.score)\\trun\"' FILE"
        }
        false => "",
    };
    format!("no field for the {role}, such as {names}{hint}")
}

/// Reads one object of objects.
pub(super) fn read_object<T: RowCollector>(
    name: &str,
    mut reader: impl BufRead,
    rows: &mut T,
) -> Result<(), ReadError> {
    let io_error = |error| ReadError::Io { source_name: name.to_owned(), error };
    if reader.fill_buf().map_err(io_error)?.starts_with("\u{feff}".as_bytes()) {
        reader.consume(3);
    }
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(QuoteLimit { reader, since_quote: 0 }));
    let taken = Queries(rows).deserialize(&mut json).and_then(|()| json.end());
    taken.map_err(|error| match error.io_error_kind() {
        Some(_) => io_error(error.into()),
        None => parse_error(name, &error),
    })
}

/// An error at its line.
fn parse_error(name: &str, error: &serde_json::Error) -> ReadError {
    let (location, reason) = (Location { name: name.into(), line: error.line() as u64 }, error.to_string());
    let reason = reason.split(" at line ").next().unwrap_or_default();
    if error.is_data() {
        return location.error(reason);
    }
    let is_value = reason == "expected value";
    let hint = if is_value { "\nhint: NaN and Infinity, which Python writes, are not valid JSON" } else { "" };
    location.error(format!("not JSON: {reason} (column {}){hint}", error.column()))
}

/// Fails on a string without end, which would fill the memory.
struct QuoteLimit<R> {
    reader: R,
    since_quote: usize,
}

impl<R: Read> Read for QuoteLimit<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.since_quote = match buffer[..count].iter().rposition(|byte| *byte == b'"') {
            Some(last) => count - last,
            None => self.since_quote + count,
        };
        if self.since_quote > MOST_UNQUOTED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "16 MiB without a quote: not an object of ids"));
        }
        Ok(count)
    }
}

/// All queries.
struct Queries<'a, T>(&'a mut T);

impl<'de, T: RowCollector> DeserializeSeed<'de> for Queries<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: RowCollector> Visitor<'de> for Queries<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(query) = map.next_key::<String>()? {
            if let Some(what) = id_error(Role::Query, &query) {
                return Err(A::Error::custom(what));
            }
            if !self.0.start_query(&query) {
                return Err(A::Error::custom(format!("duplicate query \"{query}\"")));
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

impl<'de, T: RowCollector> DeserializeSeed<'de> for Documents<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: RowCollector> Visitor<'de> for Documents<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{query: {{document: {}}}}}", T::VALUE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((document, value)) = map.next_entry::<String, serde_json::Value>()? {
            let field = Field::from(value);
            let value = number_text(&field).ok_or_else(|| {
                let (query, kind) = (self.query, field.kind());
                A::Error::custom(format!(
                    "expected {{query: {{document: {}}}}}, found {kind} for \"{document}\" of \"{query}\"",
                    T::VALUE
                ))
            })?;
            let row = Row { query: self.query, document: &document, value: &value };
            add(row, self.rows).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some(value) = T::LIST_VALUE else {
            let query = self.query;
            return Err(A::Error::custom(format!("a list for \"{query}\", which has no {}s", T::VALUE)));
        };
        while let Some(document) = list.next_element::<String>()? {
            let row = Row { query: self.query, document: &document, value };
            add(row, self.rows).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
