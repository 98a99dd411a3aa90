//! Documents with the place they came from.

use std::io::BufRead;
use std::sync::Arc;

use embtune_cli::{Input, Session};
use embtune_records::{Document, ReadError, Records};
use serde_json::Value;

use crate::cli::Cli;

/// A document, and where it stands in the input.
#[derive(Debug)]
pub(crate) struct Source {
    place: Place,
    /// The id.
    pub(crate) id: String,
    /// The title, when there is one that is not blank.
    pub(crate) title: Option<String>,
    /// The text without the title.
    pub(crate) text: String,
    /// The parent document's id; the document's own when it names none.
    pub(crate) group: String,
}

#[derive(Debug, Clone)]
struct Place {
    source_name: Arc<str>,
    line: u64,
}

impl Source {
    fn new(document: Document, place: Place) -> Result<Self, ReadError> {
        let id = document.id().to_owned();
        let title = document.title().map(str::to_owned);
        let text = document.text().to_owned();
        let group = match document.into_object().remove("group") {
            None | Some(Value::Null) => id.clone(),
            Some(Value::String(group)) if group.is_empty() => id.clone(),
            Some(Value::String(group)) if !group.contains(char::is_control) => group,
            Some(Value::Number(group)) => group.to_string(),
            Some(_) => {
                return Err(
                    place.error("field \"group\" must be a number or a string without control characters".into())
                );
            }
        };
        Ok(Self { place, id, title, text, group })
    }

    /// Whether there is nothing to write queries about.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
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

impl Place {
    fn error(&self, what: String) -> ReadError {
        ReadError::Record { source_name: self.source_name.to_string(), line: self.line, what }
    }
}

/// Something to read documents from, and how messages call it.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) reader: Box<dyn BufRead + Send>,
}

/// The documents of all operands, in order.
///
/// # Errors
/// An operand that cannot be opened; the items' errors are those of reading.
pub(crate) fn documents(
    cli: &Cli,
    session: &Session,
) -> anyhow::Result<impl Iterator<Item = Result<Source, ReadError>> + Send + use<>> {
    Ok(of_inputs(session.inputs(&cli.records.files)?, cli))
}

pub(super) fn of_inputs(
    inputs: Vec<Input>,
    cli: &Cli,
) -> impl Iterator<Item = Result<Source, ReadError>> + Send + use<> {
    let max_record_bytes = cli.records.max_record_bytes;
    inputs
        .into_iter()
        .flat_map(move |input| of_named(Named { name: input.name.clone(), reader: Box::new(input) }, max_record_bytes))
}

pub(super) fn of_named(
    named: Named,
    max_record_bytes: usize,
) -> impl Iterator<Item = Result<Source, ReadError>> + Send {
    let source_name: Arc<str> = named.name.as_str().into();
    let mut records = Records::<Document, _>::new(named.name, named.reader, max_record_bytes);
    std::iter::from_fn(move || {
        let document = records.next()?;
        let place = Place { source_name: Arc::clone(&source_name), line: records.line() };
        Some(document.and_then(|document| Source::new(document, place)))
    })
}

#[cfg(test)]
impl Source {
    /// A document of a test.
    pub(crate) fn example(id: &str, title: Option<&str>, text: &str) -> Self {
        let place = Place { source_name: "example".into(), line: 1 };
        Self { place, id: id.into(), title: title.map(Into::into), text: text.into(), group: id.into() }
    }
}
