//! Documents and queries, in BEIR's form.

use std::borrow::Cow;

use serde_json::Value;

use crate::object::{optional_id, optional_text, text};
use crate::{FieldError, Object, Record};

/// A document or a query: `{"_id": …, "title"?: …, "text": …}` with any further fields.
///
/// `id` is accepted for `_id`, and a number as id is read as its decimal text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    id: String,
    object: Object,
}

impl Document {
    /// A document of these fields.
    pub fn new(id: impl Into<String>, title: Option<&str>, text: &str) -> Self {
        let id = id.into();
        let mut object = Object::new();
        object.insert("_id".into(), id.clone().into());
        if let Some(title) = title {
            object.insert("title".into(), title.into());
        }
        object.insert("text".into(), text.into());
        Self { id, object }
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
        self.object.get("text").and_then(|text| text.as_str()).unwrap_or_default()
    }

    /// The text that is embedded: `title + " " + text` when there is a title (BEIR's rule).
    pub fn full_text(&self) -> Cow<'_, str> {
        match self.title() {
            Some(title) => format!("{title} {}", self.text()).into(),
            None => self.text().into(),
        }
    }

    /// What the document is a part of: the field `group`, else the document itself.
    pub fn group_or_id(&self) -> Cow<'_, str> {
        match self.object.get("group") {
            Some(Value::String(group)) if !group.is_empty() => group.into(),
            Some(Value::Number(group)) => group.to_string().into(),
            _ => self.id.as_str().into(),
        }
    }

    /// The whole record as it was read.
    pub fn into_object(self) -> Object {
        self.object
    }
}

impl Record for Document {
    fn from_object(object: Object) -> Result<Self, FieldError> {
        let id = optional_id(&object, &["_id", "id"])?.ok_or_else(|| crate::object::missing(&["_id"]))?;
        text(&object, &["text"])?;
        optional_text(&object, &["title"])?;
        Ok(Self { id, object })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Document, String> {
        Document::from_object(value.as_object().unwrap().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_and_titles_follow_beir() {
        let document = read(json!({"id": 17, "title": " T ", "text": "x", "lang": "de"})).unwrap();
        assert_eq!((document.id(), &*document.full_text()), ("17", "T x"));
        assert_eq!(document.into_object()["lang"], "de");
        assert_eq!(&*read(json!({"_id": "a", "title": "", "text": "x"})).unwrap().full_text(), "x");
    }

    #[test]
    fn a_document_without_a_group_is_its_own() {
        let group = |value| read(value).unwrap().group_or_id().into_owned();
        assert_eq!(group(json!({"_id": "a", "text": "", "group": "g"})), "g");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": 7})), "7");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": null})), "a");
        assert_eq!(group(json!({"_id": "a", "text": "", "group": ""})), "a");
    }

    #[test]
    fn what_is_wrong_is_named() {
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
