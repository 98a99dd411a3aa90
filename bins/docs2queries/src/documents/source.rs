//! Documents with the place they came from.

use std::borrow::Cow;

use embtune_cli::Input;
use embtune_records::{Document, Field, Located, Location, ReadError, RecordStream};
use embtune_text::is_blank;

/// A document, and where it stands in the input.
#[derive(Debug)]
pub(crate) struct Source {
    place: Location,
    /// The id.
    pub(crate) id: String,
    /// The title, when there is one that is not blank.
    pub(crate) title: Option<String>,
    /// The text without the title.
    pub(crate) text: String,
    /// The parent document's id; the document's own when it names none.
    pub(crate) group: String,
}

impl Source {
    fn new(document: Document, place: Location) -> Result<Self, ReadError> {
        let id = document.id().to_owned();
        let title = document.title().map(str::to_owned);
        let text = document.text().to_owned();
        let group = match document.into_object().remove("group") {
            None => id.clone(),
            Some(group) if group.is_null() || group.as_str() == Some("") => id.clone(),
            Some(Field::Text(group)) if !group.contains(char::is_control) => group,
            Some(other) => other.number().map(Cow::into_owned).ok_or_else(|| {
                place.error("field \"group\" must be a number or a string without control characters")
            })?,
        };
        Ok(Self { place, id, title, text, group })
    }

    /// Whether there is nothing to write queries about.
    pub(crate) fn is_blank(&self) -> bool {
        is_blank(&self.text)
    }

    /// What is embedded: the title, a space, and `text`, which is the document's or a part of it.
    pub(crate) fn with_title(&self, text: &str) -> String {
        match &self.title {
            Some(title) => format!("{title} {text}"),
            None => text.to_owned(),
        }
    }

    /// An error about this document.
    pub(crate) fn error(&self, what: &str) -> ReadError {
        self.place.error(format!("document {}: {what}", self.id))
    }
}

/// The documents of all inputs, in order.
pub(crate) fn documents(
    inputs: Vec<Input>,
    max_record_bytes: usize,
) -> impl Iterator<Item = Result<Source, ReadError>> + Send {
    let documents = RecordStream::<Document, _>::new(inputs.into_iter().map(Input::into_named), max_record_bytes);
    documents.map(|document| document.and_then(|Located { record, location, .. }| Source::new(record, location)))
}

#[cfg(test)]
impl Source {
    /// A document of a test.
    pub(crate) fn example(id: &str, title: Option<&str>, text: &str) -> Self {
        let place = Location { name: "example".into(), line: 1 };
        Self { place, id: id.into(), title: title.map(Into::into), text: text.into(), group: id.into() }
    }
}
