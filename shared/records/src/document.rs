//! Documents and queries in BEIR's format.

use std::borrow::Cow;

use crate::object::{missing, optional_id, optional_text, text};
use crate::{Field, Object, Record};

/// Names of the field with the id; the first one is written.
const ID: [&str; 2] = ["_id", "id"];

/// A document or a query: `{"_id": …, "title"?: …, "text": …}` with any further fields.
///
/// `id` is accepted for `_id`, and a number as id is read as its decimal text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    id: String,
    object: Object,
}

impl Document {
    /// A document with these fields.
    pub fn new(id: impl Into<String>, title: Option<&str>, text: &str) -> Self {
        let id = id.into();
        let mut object = Object::new();
        object.insert("_id", id.as_str());
        if let Some(title) = title {
            object.insert("title", title);
        }
        object.insert("text", text);
        Self { id, object }
    }

    /// A document that has a string in each of `fields`, and need not have a text; without fields, a document in BEIR's
    /// format. The value of `id_field`, if given, becomes that of `_id`.
    ///
    /// # Errors
    /// A missing id, or a field that is missing or not a string, by name.
    pub fn from_fields(mut object: Object, id_field: Option<&str>, fields: &[String]) -> Result<Self, String> {
        if let Some(name) = id_field {
            let value = optional_id(&object, &[name])?.ok_or_else(|| missing(&[name]))?;
            object.insert(ID[0], value);
        }
        if fields.is_empty() {
            return Self::from_object(object);
        }
        for field in fields {
            text(&object, &[field])?;
        }
        Ok(Self { id: id(&object)?, object })
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The title, when there is one that is not blank.
    pub fn title(&self) -> Option<&str> {
        self.object.get("title")?.as_str().map(str::trim).filter(|title| !title.is_empty())
    }

    /// The text without the title.
    pub fn text(&self) -> &str {
        self.field("text")
    }

    /// A field, or an empty string if it is not a string.
    pub fn field(&self, name: &str) -> &str {
        self.object.get(name).and_then(Field::as_str).unwrap_or_default()
    }

    /// The text that is embedded: `title + " " + text` when there is a title (BEIR's rule).
    pub fn full_text(&self) -> Cow<'_, str> {
        match self.title() {
            Some(title) => format!("{title} {}", self.text()).into(),
            None => self.text().into(),
        }
    }

    /// The id of the parent document: the field `group`, else the document's own id.
    pub fn group_or_id(&self) -> Cow<'_, str> {
        let group = self.object.get("group");
        let text = group.and_then(Field::as_str).filter(|group| !group.is_empty()).map(Cow::from);
        text.or_else(|| group?.number()).unwrap_or_else(|| self.id.as_str().into())
    }

    /// The record with a different id.
    #[must_use]
    pub fn with_id(self, id: String) -> Self {
        let name = ID.into_iter().find(|name| self.object.get(name).is_some_and(|id| !id.is_null()));
        Self { id: id.clone(), ..self }.with_field(name.unwrap_or(ID[0]), id)
    }

    /// The record with a field set.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Into<Field>) -> Self {
        self.object.insert(name, value);
        self
    }

    /// The whole record as it was read.
    pub fn into_object(self) -> Object {
        self.object
    }
}

fn id(object: &Object) -> Result<String, String> {
    optional_id(object, &ID)?.ok_or_else(|| missing(&ID[..1]))
}

impl Record for Document {
    fn from_object(object: Object) -> Result<Self, String> {
        let id = id(&object)?;
        text(&object, &["text"])?;
        optional_text(&object, &["title"])?;
        Ok(Self { id, object })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_str(&value.to_string()).unwrap()
    }

    fn read(value: Value) -> Result<Document, String> {
        Document::from_object(object(value))
    }

    #[test]
    fn ids_and_titles_follow_beir() {
        let document = read(json!({"id": 17, "title": " T ", "text": "x", "lang": "de"})).unwrap();
        assert_eq!((document.id(), &*document.full_text()), ("17", "T x"));
        assert_eq!(document.into_object().get("lang").unwrap(), &"de".into());
        assert_eq!(&*read(json!({"_id": "a", "title": "", "text": "x"})).unwrap().full_text(), "x");
    }

    #[test]
    fn named_fields_are_required_instead_of_the_text() {
        let read = |value: Value, fields: &[&str]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
            Document::from_fields(object(value), None, &fields)
        };
        let value = json!({"id": 1, "body": "b", "n": 2, "none": null, "title": 3});
        let document = read(value.clone(), &["body"]).unwrap();
        assert_eq!((document.id(), document.field("body"), document.field("n")), ("1", "b", ""));
        assert_eq!(read(value.clone(), &["body", "n"]).unwrap_err(), "field \"n\" must be a string, found a number");
        assert_eq!(read(value.clone(), &["none"]).unwrap_err(), "no field \"none\"");
        assert_eq!(read(json!({"body": ""}), &["body"]).unwrap_err(), "no field \"_id\"");
        let named = |value: Value| Document::from_fields(object(value), Some("n"), &["b".into()]);
        let document = named(json!({"_id": "old", "b": "", "n": 7})).unwrap();
        assert_eq!(document.id(), "7");
        assert_eq!(document.into_object().get("_id").unwrap(), &"7".into());
        assert_eq!(named(json!({"_id": "old", "b": ""})).unwrap_err(), "no field \"n\"");
    }

    #[test]
    fn the_id_is_replaced_in_its_field() {
        let renamed = |value| serde_json::to_string(&read(value).unwrap().with_id("b".into()).into_object()).unwrap();
        assert_eq!(renamed(json!({"x": 1, "id": 7, "text": ""})), r#"{"x":1,"id":"b","text":""}"#);
        assert_eq!(renamed(json!({"_id": "a", "id": 7, "text": ""})), r#"{"_id":"b","id":7,"text":""}"#);
        assert_eq!(renamed(json!({"_id": null, "id": 7, "text": ""})), r#"{"_id":null,"id":"b","text":""}"#);
    }

    #[test]
    fn a_document_without_a_group_is_its_own_parent() {
        let group = |value| read(value).unwrap().group_or_id().into_owned();
        assert_eq!(group(json!({"_id": "a", "text": "", "group": "g"})), "g");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": 7})), "7");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": null})), "a");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": ""})), "a");
    }

    #[test]
    fn errors_name_the_field() {
        assert_eq!(read(json!({"text": "x"})).unwrap_err(), "no field \"_id\"");
        assert_eq!(read(json!({"_id": "a"})).unwrap_err(), "no field \"text\"");
        assert_eq!(
            read(json!({"_id": "a", "text": 3})).unwrap_err(),
            "field \"text\" must be a string, found a number"
        );
        assert_eq!(read(json!({"_id": "", "text": ""})).unwrap_err(), "field \"_id\" is empty");
        assert!(read(json!({"_id": [1], "text": ""})).is_err());
    }
}
