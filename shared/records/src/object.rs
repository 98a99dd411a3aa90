//! Fields of a JSON object, with errors that name the field.

use serde_json::{Map, Value};

/// A JSON object whose fields keep their order.
pub type Object = Map<String, Value>;

/// A field that is missing or has the wrong type.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FieldError(pub(crate) String);

/// What a JSON value is, in words.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn wrong(name: &str, expected: &str, found: &Value) -> FieldError {
    FieldError(format!("field \"{name}\" must be {expected}, found {}", kind(found)))
}

/// The first of `names` that stands in the object, with its value; null counts as absent.
fn find<'a, 'n>(object: &'a Object, names: &[&'n str]) -> Option<(&'n str, &'a Value)> {
    names.iter().find_map(|name| object.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value)))
}

/// A text.
pub(crate) fn optional_text<'a>(object: &'a Object, names: &[&str]) -> Result<Option<&'a str>, FieldError> {
    match find(object, names) {
        None => Ok(None),
        Some((_, Value::String(text))) => Ok(Some(text)),
        Some((name, other)) => Err(wrong(name, "a string", other)),
    }
}

/// A text that must be there.
pub(crate) fn text<'a>(object: &'a Object, names: &[&str]) -> Result<&'a str, FieldError> {
    optional_text(object, names)?.ok_or_else(|| missing(names))
}

/// A number, and the name under which it stands.
pub(crate) fn optional_number<'n>(object: &Object, names: &[&'n str]) -> Result<Option<(&'n str, f64)>, FieldError> {
    let Some((name, value)) = find(object, names) else { return Ok(None) };
    match value.as_f64() {
        Some(number) => Ok(Some((name, number))),
        None => Err(wrong(name, "a number", value)),
    }
}

/// An id: a string, or a number that is read as its decimal text.
pub(crate) fn optional_id(object: &Object, names: &[&str]) -> Result<Option<String>, FieldError> {
    let Some((name, value)) = find(object, names) else { return Ok(None) };
    let id = match value {
        Value::String(id) => id.clone(),
        Value::Number(number) => number.to_string(),
        other => return Err(wrong(name, "a string or a number", other)),
    };
    if id.is_empty() {
        return Err(FieldError(format!("field \"{name}\" is empty")));
    }
    // The tabular formats separate their columns by white space.
    if id.chars().any(char::is_control) {
        return Err(FieldError(format!("field \"{name}\" holds a control character")));
    }
    Ok(Some(id))
}

/// A list; a single value counts as a list of one.
pub(crate) fn list<T>(
    object: &Object,
    name: &str,
    expected: &str,
    item: impl Fn(&Value) -> Option<T>,
) -> Result<Option<Vec<T>>, FieldError> {
    let items = match object.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    items
        .iter()
        .map(|value| item(value).ok_or_else(|| wrong(name, expected, value)))
        .collect::<Result<_, _>>()
        .map(Some)
}

pub(crate) fn missing(names: &[&str]) -> FieldError {
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    FieldError(format!("no field {}", names.join(" or ")))
}
