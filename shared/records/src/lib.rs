//! The text formats: documents, queries and training pairs as JSON Lines, relevance judgments and runs.
//!
//! Every reader takes any [`std::io::BufRead`] and the name that messages give it, caps the length of a line, and
//! fails with [`ReadError`], which says `source:line: what`. A [`ReadError::Record`] concerns one line only: the
//! reader can go on behind it. Unknown fields pass through untouched.

mod document;
mod error;
mod field;
mod holdout_split;
mod jsonl;
mod judgments;
mod lines;
mod location;
mod number;
mod object;
mod pair;
mod qrels;
mod rows;
mod run;
mod stream;

pub use document::Document;
pub use error::ReadError;
pub use field::Field;
pub use holdout_split::HoldoutSplit;
pub use jsonl::{Record, Records, parse_line, write_json_line};
pub use judgments::{JudgedQuery, Judgments, MissingQueries};
pub use lines::{Line, Lines};
pub use location::Location;
pub use number::shortest_decimal;
pub use object::{FieldError, Object};
pub use pair::Pair;
pub use qrels::Qrels;
pub use run::{Run, RunEntry, write_run};
pub use stream::{Located, RecordStream};
