//! Documents, and the passages that queries are written for.

mod corpus;
mod passages;

use std::borrow::Cow;

use embtune_records::{Document, Field, Location, ReadError};
use embtune_text::is_blank;

pub(crate) use corpus::{Census, Corpus, ReadAhead, Settings};
pub(crate) use passages::{Part, Passage, passages};

/// A document that has text; none for a blank one, and for a bad record after `bad` was told of it.
///
/// # Errors
/// An input that cannot be read, and those of `bad`.
pub(crate) fn readable(
    document: Result<SourceDocument, ReadError>,
    bad: impl FnOnce(ReadError) -> anyhow::Result<()>,
) -> anyhow::Result<Option<SourceDocument>> {
    match document {
        Ok(document) => Ok(Some(document).filter(|document| !document.is_blank())),
        Err(error) if error.is_recoverable() => bad(error).map(|()| None),
        Err(error) => Err(error.into()),
    }
}

/// Documents on their way from the input.
pub(crate) type Documents = Box<dyn Iterator<Item = Result<SourceDocument, ReadError>> + Send>;

/// A document, and its location in the input.
#[derive(Debug)]
pub(crate) struct SourceDocument {
    location: Location,
    pub(crate) id: String,
    /// The title, if there is one that is not blank.
    pub(crate) title: Option<String>,
    /// The text without the title.
    pub(crate) text: String,
    /// The id of the parent document; without one, the document's own.
    pub(crate) group: String,
}

impl SourceDocument {
    fn new(document: Document, location: Location) -> Result<Self, ReadError> {
        let id = document.id().to_owned();
        let title = document.title().map(str::to_owned);
        let text = document.text().to_owned();
        let group = match document.into_object().remove("group") {
            None => id.clone(),
            Some(group) if group.is_null() || group.as_str() == Some("") => id.clone(),
            Some(Field::Text(group)) if !group.contains(char::is_control) => group,
            Some(other) => other.number().map(Cow::into_owned).ok_or_else(|| {
                location.error("field \"group\" must be a number or a string without control characters")
            })?,
        };
        Ok(Self { location, id, title, text, group })
    }

    /// Whether the text is blank, so that no query can be written for it.
    pub(crate) fn is_blank(&self) -> bool {
        is_blank(&self.text)
    }

    /// The text that is embedded: the title, a space, and `text`, which is the document's text or a part of it.
    pub(crate) fn with_title(&self, text: &str) -> String {
        match &self.title {
            Some(title) => format!("{title} {text}"),
            None => text.to_owned(),
        }
    }

    /// An error about this document.
    pub(crate) fn error(&self, what: &str) -> ReadError {
        self.location.error(format!("document {}: {what}", self.id))
    }
}

#[cfg(test)]
impl SourceDocument {
    /// A document for tests.
    pub(crate) fn example(id: &str, title: Option<&str>, text: &str) -> Self {
        let location = Location { name: "example".into(), line: 1 };
        Self { location, id: id.into(), title: title.map(Into::into), text: text.into(), group: id.into() }
    }
}
