//! The text formats: documents, queries and training pairs as JSON Lines, relevance judgments and runs.
//!
//! Every reader takes any [`std::io::BufRead`] with the name that messages give it, limits the length of a line, and
//! fails with [`ReadError`], which says `source:line: what`. A [`ReadError::Record`] concerns one line only: the reader
//! can continue after it. Unknown fields are passed through unchanged.

mod document;
mod error;
mod field;
mod holdout_split;
mod jsonl;
mod judgments;
mod lines;
mod object;
mod pair;
mod qrels;
mod rows;
mod run;
mod stream;

pub use document::Document;
pub use error::{Location, ReadError};
pub use field::Field;
pub use holdout_split::HoldoutSplit;
pub use jsonl::{Record, Records, parse_line, write_json_line};
pub use judgments::{JudgedQuery, Judgments, MissingQueries};
pub use lines::{Line, Lines};
pub use object::Object;
pub use pair::Pair;
pub use qrels::Qrels;
pub use run::{Run, RunEntry, shortest_decimal, write_run};
pub use stream::{Located, RecordStream};
