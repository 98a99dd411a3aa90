//! Training shards: pairs as token ids.
//!
//! Three columns, `anchor`, `positive` and `negative`, each with
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `<column>.input_ids` | u32 | `[T]` | token ids of all rows, special tokens included, cut at the column's length |
//! | `<column>.cu_seqlens` | i64 | `[rows + 1]` | where each row begins |
//! | `<column>.text_hash`, `.document_hash`, `.group_hash` | u64 | `[rows]` | for masking; 0 is unknown |
//!
//! and `negative.cu_rows`, i64 `[pairs + 1]`: the negatives of pair `i` are the rows `cu_rows[i]..cu_rows[i + 1]`.
//! The metadata key `embtune` holds [`ShardMeta`] as JSON.

use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use crate::numbers::{check_offsets, i64_at, map, u64_at};
use crate::{TensorFile, TensorsError};

/// Version of the layout; files of another one are refused.
pub(crate) const VERSION: u32 = 1;

/// How the shard was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMeta {
    /// Version of the layout.
    #[serde(default)]
    pub version: u32,
    /// Fingerprint of the tokenizer; training refuses a shard whose tokenizer is not the model's.
    pub tokenizer: String,
    /// Size of the vocabulary: every token id is below it.
    pub vocab_size: usize,
    /// Put before each anchor.
    pub query_prompt: String,
    /// Put before each positive and negative.
    pub document_prompt: String,
    /// Tokens at which an anchor was cut.
    pub query_max_length: usize,
    /// Tokens at which a positive or negative was cut.
    pub document_max_length: usize,
    /// Texts that were cut.
    pub truncated: u64,
}

/// One of the three columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The queries.
    Anchor,
    /// Their answers.
    Positive,
    /// Texts that are no answer.
    Negative,
}

impl Column {
    /// All of them, in file order.
    pub const ALL: [Self; 3] = [Self::Anchor, Self::Positive, Self::Negative];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }

    pub(crate) fn tensor(self, part: &str) -> String {
        format!("{}.{part}", self.name())
    }
}

/// What tells whether two texts may be each other's negatives; 0 is unknown and equals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hashes {
    /// Of the raw text.
    pub text: u64,
    /// Of the document's id.
    pub document: u64,
    /// Of the parent document's id.
    pub group: u64,
}

/// A mapped training shard.
pub struct Shard {
    file: TensorFile,
    meta: ShardMeta,
    pairs: usize,
}

impl Shard {
    /// Opens a shard and checks every offset and token id, so that training can trust it.
    ///
    /// # Errors
    /// A damaged file, an unknown version, columns that do not fit each other.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        let file = TensorFile::open(path)?;
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let meta =
            file.metadata("embtune").ok_or_else(|| refuse("not a training shard (no \"embtune\" metadata)".into()))?;
        let meta: ShardMeta =
            serde_json::from_str(meta).map_err(|error| refuse(format!("not a training shard: metadata: {error}")))?;
        if meta.version != VERSION {
            return Err(refuse(format!("layout version {}, this program knows {VERSION}", meta.version)));
        }
        let mut rows = [0; 3];
        for (column, rows) in Column::ALL.into_iter().zip(&mut rows) {
            *rows = check_column(&file, column, meta.vocab_size)?;
        }
        let [anchors, positives, negatives] = rows;
        let cu_rows = file.typed("negative.cu_rows", Dtype::I64, 1)?;
        check_offsets("negative.cu_rows", cu_rows.bytes, negatives).map_err(refuse)?;
        let pairs = cu_rows.shape[0].saturating_sub(1);
        if (anchors, positives) != (pairs, pairs) {
            return Err(refuse(format!("{pairs} pairs but {anchors} anchors and {positives} positives")));
        }
        Ok(Self { meta, pairs, file })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// How the shard was made.
    pub fn meta(&self) -> &ShardMeta {
        &self.meta
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Rows of the negatives of a pair.
    pub fn negatives(&self, pair: usize) -> Range<usize> {
        let offsets = self.bytes("negative.cu_rows");
        i64_at(offsets, pair) as usize..i64_at(offsets, pair + 1) as usize
    }

    /// Token ids of a row.
    pub fn tokens(&self, column: Column, row: usize) -> Vec<u32> {
        let range = self.token_range(column, row);
        map(&self.bytes(&column.tensor("input_ids"))[range.start * 4..range.end * 4], u32::from_le_bytes)
    }

    /// Hashes of a row.
    pub fn hashes(&self, column: Column, row: usize) -> Hashes {
        let at = |part: &str| u64_at(self.bytes(&column.tensor(part)), row);
        Hashes { text: at("text_hash"), document: at("document_hash"), group: at("group_hash") }
    }

    fn token_range(&self, column: Column, row: usize) -> Range<usize> {
        let offsets = self.bytes(&column.tensor("cu_seqlens"));
        i64_at(offsets, row) as usize..i64_at(offsets, row + 1) as usize
    }

    fn bytes(&self, tensor: &str) -> &[u8] {
        self.file.get(tensor).map_or(&[], |tensor| tensor.bytes)
    }
}

/// Checks a column and gives its number of rows.
fn check_column(file: &TensorFile, column: Column, vocab_size: usize) -> Result<usize, TensorsError> {
    let refuse = |what: String| TensorsError::content(file.name(), what);
    let ids = file.typed(&column.tensor("input_ids"), Dtype::U32, 1)?;
    let cu_seqlens = file.typed(&column.tensor("cu_seqlens"), Dtype::I64, 1)?;
    check_offsets(&column.tensor("cu_seqlens"), cu_seqlens.bytes, ids.shape[0]).map_err(refuse)?;
    let rows = cu_seqlens.shape[0].saturating_sub(1);
    if let Some(row) = (0..rows).find(|row| i64_at(cu_seqlens.bytes, *row) == i64_at(cu_seqlens.bytes, row + 1)) {
        return Err(refuse(format!("row {row} of \"{}\" has no tokens", column.name())));
    }
    let largest = ids.bytes.as_chunks::<4>().0.iter().map(|id| u32::from_le_bytes(*id)).max().unwrap_or(0);
    if rows > 0 && largest as usize >= vocab_size {
        return Err(refuse(format!("token id {largest}, but the vocabulary has {vocab_size}")));
    }
    for part in ["text_hash", "document_hash", "group_hash"] {
        let hashes = file.typed(&column.tensor(part), Dtype::U64, 1)?;
        if hashes.shape[0] != rows {
            return Err(refuse(format!("{rows} rows but {} of \"{}\"", hashes.shape[0], column.tensor(part))));
        }
    }
    Ok(rows)
}
