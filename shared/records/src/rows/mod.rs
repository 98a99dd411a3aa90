//! The common format of judgments and runs: rows of a query, a document and a value, in all formats in which such files
//! are exchanged.
//!
//! The format is detected from the content and not from the file's name: columns (separated by tabs, spaces or commas,
//! with or without a header), JSON Lines with one row each, or one JSON object of objects.

mod columns;
mod json;
mod table;

use std::fmt;
use std::io::{BufRead, BufReader, Cursor, Read};

use crate::ReadError;

/// Bytes that are read to detect the format.
const HEAD_BYTES: u64 = 64 << 10;

/// A row as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) query: &'a str,
    pub(crate) document: &'a str,
    /// Relevance or score.
    pub(crate) value: &'a str,
}

/// Collects rows.
pub(crate) trait RowCollector {
    /// The name of a row in messages.
    const KIND: &'static str;
    /// The name of the value in messages.
    const VALUE: &'static str;
    /// Names of the value's column or field, in lower case without punctuation; the first one that is present counts.
    const VALUE_NAMES: &'static [&'static str];
    /// Layouts of files without a header: the number of columns, and the indices of query, document and value.
    const LAYOUTS: &'static [(usize, [usize; 3])];
    /// The value of each document in a list without values, if such a list is accepted.
    const LIST_VALUE: Option<&'static str>;

    /// Adds a row. The error describes its fault.
    fn take(&mut self, row: Row<'_>) -> Result<(), String>;

    /// Adds a query without documents; returns whether it is new.
    fn start_query(&mut self, query: &str) -> bool;

    /// Is called for a file with this number of columns and no header.
    fn set_no_header(&mut self, _columns: usize) {}

    /// The message about a line with `found` columns, with a remedy.
    fn column_error(found: usize) -> String;
}

/// Reads rows in any format. `note` is given remarks about a file that can be read.
///
/// # Errors
/// A file in none of the formats, a row that is incomplete or that `rows` refuses.
pub(crate) fn read<T: RowCollector>(
    name: &str,
    mut reader: impl BufRead,
    rows: &mut T,
    note: &mut dyn FnMut(String),
) -> Result<(), ReadError> {
    let mut head = Vec::new();
    let io_error = |error| ReadError::Io { source_name: name.to_owned(), error };
    reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(io_error)?;
    if let Some(what) = unsupported(&head) {
        return Err(ReadError::content(name, what));
    }
    let format = Format::of(&head);
    let whole = BufReader::new(Cursor::new(head).chain(reader));
    match format {
        Format::Columns => table::read(name, whole, rows, note),
        Format::JsonLines => json::read_lines(name, whole, rows),
        Format::JsonObject => json::read_object(name, whole, rows),
        Format::JsonArray => Err(ReadError::content(name, format!("a list of {}s\nhint: jq -c '.[]' FILE", T::KIND))),
    }
}

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Columns,
    /// An object per line, which is a row.
    JsonLines,
    /// One object, which has an object of documents for each query.
    JsonObject,
    /// An array, such as pandas' records.
    JsonArray,
}

impl Format {
    fn of(head: &[u8]) -> Self {
        let start = head.strip_prefix("\u{feff}".as_bytes()).unwrap_or(head).trim_ascii_start();
        let (first, next) = start
            .split_first()
            .map_or((0, 0), |(first, rest)| (*first, rest.trim_ascii_start().first().copied().unwrap_or_default()));
        // A line of columns may begin with an id such as [1] or {a}.
        match (first, next) {
            (b'[', b'{') => Self::JsonArray,
            (b'{', b'"' | b'}') if json::is_row(start) => Self::JsonLines,
            (b'{', b'"' | b'}' | 0) => Self::JsonObject,
            _ => Self::Columns,
        }
    }
}

/// Formats that are not text: their first bytes, their names, and the programs that convert them.
const UNSUPPORTED: [(&[u8], &str, &str); 11] = [
    (b"\x1f\x8b", "compressed (gzip)", "zcat FILE"),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard)", "zstdcat FILE"),
    (b"\x04\x22\x4d\x18", "compressed (LZ4)", "lz4cat FILE"),
    (b"BZh", "compressed (bzip2)", "bzcat FILE"),
    (b"\xfd7zXZ", "compressed (xz)", "xzcat FILE"),
    (b"PK\x03\x04", "an archive or a workbook (zip)", "unzip -p FILE NAME, or save the sheet as CSV"),
    (b"PAR1", "Parquet", "python3 -c 'import pandas; pandas.read_parquet(\"FILE\").to_csv(\"FILE.csv\", index=False)'"),
    (b"ARROW1", "Arrow", "python3 -c 'import pandas; pandas.read_feather(\"FILE\").to_csv(\"FILE.csv\", index=False)'"),
    (b"\x80\x04", "a Python pickle", "load it with pickle.load and write it with json.dump"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"),
];

/// The format of a file that is not text, and the program that converts it.
fn unsupported(head: &[u8]) -> Option<String> {
    let (_, what, remedy) = UNSUPPORTED.iter().find(|(magic, ..)| head.starts_with(magic))?;
    Some(format!("{what}, which is not supported\nhint: {remedy}"))
}

/// The meaning of a column or field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Query,
    Document,
    Value,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Document => "document",
            Self::Value => "value",
        })
    }
}

/// Names in the files of BEIR, TREC, MS MARCO, ir_datasets, PyTerrier and MTEB. Where several are present, the first
/// one in this list counts: a file may have the query's text next to its id, and PyTerrier has its internal docid next
/// to docno.
const QUERY: [&str; 7] = ["queryid", "qid", "topicid", "queryno", "qno", "topic", "query"];
const DOCUMENT: [&str; 9] = ["corpusid", "docno", "docid", "documentid", "passageid", "pid", "did", "document", "doc"];

/// A name without differences in spelling: `query-id`, `query_id` and `queryId` are the same.
fn canonical(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The index of the column or field with this role.
fn find_role<'a, T: RowCollector>(role: Role, names: impl Iterator<Item = &'a str>) -> Option<usize> {
    let known = match role {
        Role::Query => &QUERY[..],
        Role::Document => &DOCUMENT,
        Role::Value => T::VALUE_NAMES,
    };
    let rank = |name: &str| known.iter().position(|known| *known == canonical(name));
    let found = names.enumerate().filter_map(|(index, name)| Some((rank(name)?, index)));
    found.min().map(|(_, index)| index)
}

/// A message about an id that cannot be used.
fn id_error(role: Role, id: &str) -> Option<String> {
    if id.is_empty() {
        Some(format!("the id of the {role} is empty"))
    } else if id.chars().any(char::is_control) {
        Some(format!("the id of the {role} holds a control character: {id:?}"))
    } else {
        None
    }
}

/// Adds a row after checking its ids.
fn add<T: RowCollector>(row: Row<'_>, rows: &mut T) -> Result<(), String> {
    match id_error(Role::Query, row.query).or_else(|| id_error(Role::Document, row.document)) {
        Some(what) => Err(what),
        None => rows.take(row),
    }
}
