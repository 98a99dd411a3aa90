//! A JSON object, with errors that name the field.

use std::borrow::Cow;
use std::fmt;

use indexmap::IndexMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Field;

/// A JSON object whose fields keep their order and their text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Object(pub(crate) IndexMap<String, Field>);

impl Object {
    /// An object without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }

    /// Sets a field: in its position if it exists, else at the end.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<Field>) {
        self.0.insert(name.into(), value.into());
    }

    /// Removes a field; the others keep their order.
    pub fn remove(&mut self, name: &str) -> Option<Field> {
        self.0.shift_remove(name)
    }

    /// The fields with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl Extend<(String, Field)> for Object {
    fn extend<T: IntoIterator<Item = (String, Field)>>(&mut self, fields: T) {
        self.0.extend(fields);
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = IndexMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    fields.insert(name, value);
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

pub(crate) fn wrong(name: &str, expected: &str, found: &Field) -> String {
    format!("field \"{name}\" must be {expected}, found {}", found.kind())
}

/// The first of `names` that is a field of the object, with its value; null counts as absent.
pub(crate) fn find<'a, 'n>(object: &'a Object, names: &[&'n str]) -> Option<(&'n str, &'a Field)> {
    names.iter().find_map(|name| object.get(name).filter(|value| !value.is_null()).map(|value| (*name, value)))
}

/// A text.
pub(crate) fn optional_text<'a>(object: &'a Object, names: &[&str]) -> Result<Option<&'a str>, String> {
    match find(object, names) {
        None => Ok(None),
        Some((name, value)) => value.as_str().map(Some).ok_or_else(|| wrong(name, "a string", value)),
    }
}

/// A text that must be present.
pub(crate) fn text<'a>(object: &'a Object, names: &[&str]) -> Result<&'a str, String> {
    optional_text(object, names)?.ok_or_else(|| missing(names))
}

/// An id: a string, or a number that is read as its decimal text.
pub(crate) fn optional_id(object: &Object, names: &[&str]) -> Result<Option<String>, String> {
    let Some((name, value)) = find(object, names) else { return Ok(None) };
    let id = id(value).ok_or_else(|| wrong(name, "a string or a number", value))?;
    if id.is_empty() {
        return Err(format!("field \"{name}\" is empty"));
    }
    // The tabular formats separate columns by white space.
    if id.chars().any(char::is_control) {
        return Err(format!("field \"{name}\" holds a control character"));
    }
    Ok(Some(id))
}

/// A value as an id, if it can be one.
pub(crate) fn id(value: &Field) -> Option<String> {
    value.as_str().map(Cow::from).or_else(|| value.number()).map(Cow::into_owned)
}

/// A list; a single value counts as a list of one, and null as absent.
pub(crate) fn list<T>(
    object: &Object,
    name: &str,
    expected: &str,
    item: impl Fn(&Field) -> Option<T>,
) -> Result<Option<Vec<T>>, String> {
    let Some((_, value)) = find(object, &[name]) else { return Ok(None) };
    let items = value.items();
    let items = items.as_deref().unwrap_or(std::slice::from_ref(value));
    items
        .iter()
        .map(|value| item(value).ok_or_else(|| wrong(name, expected, value)))
        .collect::<Result<_, _>>()
        .map(Some)
}

pub(crate) fn missing(names: &[&str]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!("no field {}", names.join(" or "))
}
