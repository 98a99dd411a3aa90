//! What judgments and runs have in common: rows of a query, a document and a number, in all the forms in which such
//! files go round.
//!
//! The content tells the form, not the file's name: columns (of tabs, blanks or commas, with a header or without), an
//! object a line, or one object of objects.

mod columns;
mod csv;
mod foreign;
mod json;
mod json_lines;
mod names;
mod table;

use std::io::{BufRead, BufReader, Cursor, Read};

use crate::ReadError;

pub(crate) use names::Role;

/// Bytes that are looked at before the form is known.
const HEAD_BYTES: u64 = 64 << 10;

/// A row, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) query: &'a str,
    pub(crate) document: &'a str,
    /// Relevance or score.
    pub(crate) number: &'a str,
}

/// What rows are collected in.
pub(crate) trait Rows {
    /// What a file of them is called, in messages.
    const CALLED: &'static str;
    /// What the number is called, in messages.
    const NUMBER: &'static str;
    /// Names of the number's column or field, in small letters without signs; the first that is there counts.
    const NUMBER_NAMES: &'static [&'static str];
    /// Columns of a file without a header: how many there may be, and which of them are query, document and number.
    const COLUMNS: &'static [(usize, [usize; 3])];
    /// What a list of documents in the place of an object says of each of them, if anything.
    const LISTED: Option<&'static str>;

    /// Takes a row, or says what is wrong with it.
    fn take(&mut self, row: Row<'_>) -> Result<(), String>;

    /// Takes a query before its documents; whether it is new.
    fn start(&mut self, query: &str) -> bool;

    /// Is told that a file has so many columns and no header.
    fn without_header(&mut self, _columns: usize) {}

    /// What is wrong with the columns of a line, in which there are `found`, and what turns it into what is read.
    fn refuse(found: usize) -> String;
}

/// Reads rows in any form. `say` is told what is worth telling of a file that can be read.
///
/// # Errors
/// A file that is none of the forms, a row that is incomplete or that `rows` refuses.
pub(crate) fn read<T: Rows>(
    name: &str,
    mut reader: impl BufRead,
    rows: &mut T,
    say: &mut dyn FnMut(String),
) -> Result<(), ReadError> {
    let mut head = Vec::new();
    let failed = |error| ReadError::Io { source_name: name.to_owned(), error };
    reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(failed)?;
    if let Some(what) = foreign::recognise(&head) {
        return Err(ReadError::content(name, what));
    }
    let form = Form::of(&head);
    let whole = BufReader::new(Cursor::new(head).chain(reader));
    match form {
        Form::Columns => table::read(name, whole, rows, say),
        Form::JsonLines => json_lines::read(name, whole, rows),
        Form::Json => json::read(name, whole, rows),
        Form::List => Err(ReadError::content(name, format!("a list of {}s\nhint: jq -c '.[]' FILE", T::CALLED))),
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Columns,
    /// An object a line, which is a row.
    JsonLines,
    /// One object: of each query an object of its documents.
    Json,
    /// An array: pandas' records.
    List,
}

impl Form {
    fn of(head: &[u8]) -> Self {
        let start = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
        let (first, next) = start
            .split_first()
            .map_or((0, 0), |(first, rest)| (*first, rest.trim_ascii_start().first().copied().unwrap_or_default()));
        // A line of columns may begin with an id such as [1] or {a}.
        match (first, next) {
            (b'[', b'{') => Self::List,
            (b'{', b'"' | b'}') if json_lines::is_row(start) => Self::JsonLines,
            (b'{', b'"' | b'}' | 0) => Self::Json,
            _ => Self::Columns,
        }
    }
}

/// Why a text cannot be an id, if so.
fn bad_id(role: Role, id: &str) -> Option<String> {
    if id.is_empty() {
        Some(format!("the id of the {role} is empty"))
    } else if id.chars().any(char::is_control) {
        Some(format!("the id of the {role} holds a control character: {id:?}"))
    } else {
        None
    }
}

/// Gives `rows` a row whose ids have been looked at.
fn give<T: Rows>(row: Row<'_>, rows: &mut T) -> Result<(), String> {
    match bad_id(Role::Query, row.query).or_else(|| bad_id(Role::Document, row.document)) {
        Some(what) => Err(what),
        None => rows.take(row),
    }
}
