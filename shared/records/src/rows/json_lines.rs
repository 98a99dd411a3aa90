//! Rows as objects, one a line.

use std::borrow::Cow;
use std::io::BufRead;

use super::names::{self, Role};
use super::{Row, Rows, give};
use crate::object::id;
use crate::{Field, Object, ReadError, Records};

/// Whether a file that begins like this has rows as objects: the first line is one that holds more than objects.
pub(super) fn is_row(start: &[u8]) -> bool {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let object: Result<Object, _> = serde_json::from_slice(line);
    object.is_ok_and(|object| object.iter().any(|(_, value)| !matches!(value.kind(), "an object" | "an array")))
}

pub(super) fn read<T: Rows>(name: &str, reader: impl BufRead, rows: &mut T) -> Result<(), ReadError> {
    let mut records = Records::<Object, _>::with_default_limit(name, reader);
    while let Some(object) = records.next() {
        take(&object?, rows).map_err(|what| records.error(what))?;
    }
    Ok(())
}

fn take<T: Rows>(object: &Object, rows: &mut T) -> Result<(), String> {
    let fields: Vec<(&str, &Field)> = object.iter().filter(|(_, value)| !value.is_null()).collect();
    let field = |role| names::find::<T>(role, fields.iter().map(|(name, _)| *name)).map(|place| fields[place]);
    let id_of = |role: Role| -> Result<String, String> {
        let (name, value) = field(role).ok_or_else(|| missing::<T>(role, object))?;
        id(value).ok_or_else(|| format!("field \"{name}\" must be a string or a number, found {}", value.kind()))
    };
    let (query, document) = (id_of(Role::Query)?, id_of(Role::Document)?);
    let (name, number) = field(Role::Number).ok_or_else(|| missing::<T>(Role::Number, object))?;
    let number =
        written(number).ok_or_else(|| format!("field \"{name}\" must be a number, found {}", number.kind()))?;
    give(Row { query: &query, document: &document, number: &number }, rows)
}

/// A number as it is written, also one in quotes.
pub(super) fn written(value: &Field) -> Option<Cow<'_, str>> {
    value.as_str().map(Cow::from).or_else(|| value.number())
}

fn missing<T: Rows>(role: Role, object: &Object) -> String {
    let names = match role {
        Role::Query => "\"query_id\"",
        Role::Document => "\"doc_id\" or \"corpus_id\"",
        Role::Number => "\"score\" or \"relevance\"",
    };
    let hint = match object.contains("results") {
        true => {
            "\nhint: jq -r '.query_id as $q | .results[] | \"\\($q)\\tQ0\\t\\(.corpus_id)\\t0\\t\\(.score)\\trun\"' FILE"
        }
        false => "",
    };
    format!("no field for the {role}, such as {names}{hint}")
}
