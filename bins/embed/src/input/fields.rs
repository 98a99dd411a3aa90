//! The part of a record that is embedded.

use std::borrow::Cow;

use embtune_records::Document;
use xxhash_rust::xxh3::Xxh3;

/// The field that is embedded by default, after the title.
const TEXT: &str = "text";

/// The names of the fields that are embedded. An empty list stands for the title, if there is one, and the text (BEIR's
/// rule).
#[derive(Debug, Clone)]
pub(crate) struct Fields(Vec<String>);

impl Fields {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The field that is divided into chunks if the text is too long.
    pub(crate) fn divided(&self) -> &str {
        self.0.last().map_or(TEXT, String::as_str)
    }

    /// The text of a record.
    pub(crate) fn text<'a>(&self, record: &'a Document) -> Text<'a> {
        let before: Vec<&str> = match self.0.split_last() {
            None => record.title().into_iter().collect(),
            Some((_, names)) => names.iter().map(|name| record.field(name)).filter(|text| !text.is_empty()).collect(),
        };
        let mut before = before.join(" ");
        let divided = record.field(self.divided());
        if !before.is_empty() && (self.0.is_empty() || !divided.is_empty()) {
            before.push(' ');
        }
        Text { before, divided }
    }
}

/// A text in two parts: a head that is repeated before each chunk, and a body that is divided into chunks.
pub(crate) struct Text<'a> {
    /// Comes before each chunk; ends with a space, unless it is empty.
    pub(crate) before: String,
    /// The value of the field [`Fields::divided`].
    pub(crate) divided: &'a str,
}

impl Text<'_> {
    /// Adds both parts to a hash.
    pub(crate) fn hash(&self, hash: &mut Xxh3) {
        hash.update(&(self.before.len() as u64).to_le_bytes());
        hash.update(self.before.as_bytes());
        hash.update(self.divided.as_bytes());
    }

    /// Both parts together.
    pub(crate) fn whole(&self) -> Cow<'_, str> {
        if self.before.is_empty() { self.divided.into() } else { format!("{}{}", self.before, self.divided).into() }
    }
}

#[cfg(test)]
mod tests {
    use embtune_records::{Object, Record as _};

    use super::*;

    fn whole(json: &str, names: &[&str]) -> String {
        let object: Object = serde_json::from_str(json).unwrap();
        let fields = Fields::new(names.iter().map(|name| (*name).to_owned()).collect());
        fields.text(&Document::from_fields(object, None, &fields.0).unwrap()).whole().into_owned()
    }

    #[test]
    fn title_and_text_follow_beir() {
        for json in [
            r#"{"id":1,"title":" T ","text":"x"}"#,
            r#"{"id":1,"title":"T","text":""}"#,
            r#"{"id":1,"title":" ","text":"x"}"#,
        ] {
            let record = Document::from_object(serde_json::from_str::<Object>(json).unwrap()).unwrap();
            assert_eq!(whole(json, &[]), record.full_text());
        }
    }

    #[test]
    fn named_fields_are_joined_by_a_space() {
        let json = r#"{"id":1,"a":"x ","b":"","c":"z"}"#;
        assert_eq!(whole(json, &["a", "b", "c"]), "x  z");
        assert_eq!(whole(json, &["c", "a"]), "z x ");
        assert_eq!(whole(json, &["a", "b"]), "x ");
        assert_eq!(whole(json, &["b", "c"]), "z");
        assert_eq!(whole(json, &["b"]), "");
    }
}
