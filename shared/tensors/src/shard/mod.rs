//! Training shards: pairs as token ids.
//!
//! Three columns, `anchor`, `positive` and `negative`, each with
//!
//! | tensor | type | shape | |
//! |---|---|---|---|
//! | `<column>.input_ids` | u32 | `[T]` | token ids of all rows, special tokens included, cut at the column's length |
//! | `<column>.cu_seqlens` | i64 | `[rows + 1]` | start of each row |
//! | `<column>.text_hash`, `.document_hash`, `.group_hash` | u64 | `[rows]` | for masking; 0 is unknown |
//! | `<column>.guide` | f16 | `[rows, G]` | optional, in all columns or none: a guide model's vectors, of length 1 |
//! | `<column>.scores` | f32 | `[rows]` | optional, not for anchors: a teacher's score or a label; NaN is unknown |
//!
//! and `negative.cu_rows`, i64 `[pairs + 1]`: the negatives of pair `i` are the rows `cu_rows[i]..cu_rows[i + 1]`.
//! The metadata key `embtune` holds [`ShardMeta`] as JSON.

mod column;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::numbers::{check_offsets, f32_at, i64_at, map, u64_at};
use crate::{TensorFile, TensorsError};
use column::{Guide, Part, Spans};

pub use column::{Column, Hashes};
pub use writer::{ShardRow, ShardWriter};

/// Version of the layout; files of other versions are refused.
///
/// New tensors are optional and ignored by readers that do not know them, so they do not need a new version.
pub(crate) const VERSION: u32 = 1;

/// How a shard was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardMeta {
    /// Version of the layout.
    #[serde(default)]
    pub version: u32,
    /// Fingerprint of the tokenizer; training refuses a shard of another tokenizer than the model's.
    pub tokenizer: String,
    /// Size of the vocabulary: every token id is below it.
    pub vocab_size: usize,
    /// The prompt before each anchor.
    pub query_prompt: String,
    /// The prompt before each positive and negative.
    pub document_prompt: String,
    /// Tokens at which an anchor was cut.
    pub query_max_length: usize,
    /// Tokens at which a positive or negative was cut.
    pub document_max_length: usize,
    /// Number of texts that were cut.
    pub truncated: u64,
    /// Languages of a sample of the anchors: the number of texts by ISO 639-3 code; `und` is undetermined.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query_languages: BTreeMap<String, u64>,
    /// The same counts for the positives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub document_languages: BTreeMap<String, u64>,
    /// Fingerprint of the guide model, if its vectors are present and name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guide: Option<String>,
}

/// A mapped training shard.
pub struct Shard {
    file: TensorFile,
    meta: ShardMeta,
    columns: [Spans; 3],
    cu_rows: Range<usize>,
    pairs: usize,
}

impl Shard {
    /// Opens a shard and checks all its numbers, so that training can trust it.
    ///
    /// # Errors
    /// A damaged file, an unknown version, columns that do not match.
    pub fn open(path: &Path) -> Result<Self, TensorsError> {
        Self::open_part(path, 0, 1)
    }

    /// Opens a shard as one of several processes, which together check all its numbers before training begins: each
    /// process checks only its part, `number` of `of` from 0, of the token ids and vectors, which are most of the file.
    /// [`tokens`](Self::tokens) and [`guide`](Self::guide) check what they read, because other processes may have other
    /// copies of the file.
    ///
    /// # Errors
    /// As [`open`](Self::open), except for damage in other parts.
    pub fn open_part(path: &Path, number: usize, of: usize) -> Result<Self, TensorsError> {
        Self::check(TensorFile::open(path)?, Part { number, of })
    }

    /// Opens the shard in an open file without a path, which messages call `name`.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of_file(file: &File, name: &str) -> Result<Self, TensorsError> {
        Self::check(TensorFile::of_file(file, name.to_owned())?, Part { number: 0, of: 1 })
    }

    fn check(file: TensorFile, part: Part) -> Result<Self, TensorsError> {
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let meta =
            file.metadata("embtune").ok_or_else(|| refuse("not a training shard (no \"embtune\" metadata)".into()))?;
        let meta: ShardMeta =
            serde_json::from_str(meta).map_err(|error| refuse(format!("not a training shard: metadata: {error}")))?;
        if meta.version != VERSION {
            return Err(refuse(format!("layout version {}, this program knows {VERSION}", meta.version)));
        }
        let check = |column| Spans::check(&file, column, meta.vocab_size, part);
        let columns = [check(Column::Anchor)?, check(Column::Positive)?, check(Column::Negative)?];
        let [anchors, positives, negatives] = [columns[0].rows, columns[1].rows, columns[2].rows];
        let cu_rows = file.typed("negative.cu_rows", Dtype::I64, 1)?;
        check_offsets("negative.cu_rows", cu_rows.bytes, negatives).map_err(refuse)?;
        let pairs = cu_rows.shape[0].saturating_sub(1);
        if (anchors, positives) != (pairs, pairs) {
            return Err(refuse(format!("{pairs} pairs but {anchors} anchors and {positives} positives")));
        }
        let dimensions = columns.each_ref().map(|column| column.guide.as_ref().map(|guide| guide.dimension));
        if dimensions.iter().any(|dimension| *dimension != dimensions[0]) {
            return Err(refuse("the guide's vectors have different dimensions, or are missing in a column".into()));
        }
        Ok(Self { meta, columns, pairs, cu_rows: file.span("negative.cu_rows").unwrap_or_default(), file })
    }

    /// The file's name, for messages.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// How a shard was made.
    pub fn meta(&self) -> &ShardMeta {
        &self.meta
    }

    /// Number of pairs.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Number of negatives of all pairs.
    pub fn negative_rows(&self) -> usize {
        self.columns[2].rows
    }

    /// A fingerprint of the content: the 128-bit XXH3 hash, in hexadecimal, of everything except token ids and vectors,
    /// which are most of the file. They follow from the texts, whose hashes are included, and from the tokenizer and
    /// the guide model, which the metadata names.
    pub fn fingerprint(&self) -> String {
        let of_column =
            |column: &Spans| [Some(column.input_ids.clone()), column.guide.as_ref().map(|g| g.span.clone())];
        let mut skipped: Vec<_> = self.columns.iter().flat_map(of_column).flatten().collect();
        skipped.sort_by_key(|span| span.start);
        let (mut hasher, whole, mut begin) = (Xxh3::new(), self.file.whole(), 0);
        for span in skipped {
            hasher.update(&whole[begin..span.start]);
            begin = span.end;
        }
        hasher.update(&whole[begin..]);
        format!("{:032x}", hasher.digest128())
    }

    /// Rows of the negatives of a pair.
    pub fn negatives(&self, pair: usize) -> Range<usize> {
        range_at(self.file.bytes(&self.cu_rows), pair, self.columns[Column::Negative as usize].rows)
    }

    /// Token ids of a row, each below [`ShardMeta::vocab_size`].
    ///
    /// # Errors
    /// A larger id: the file is damaged in a part that was not checked when it was opened.
    pub fn tokens(&self, column: Column, row: usize) -> Result<Vec<u32>, TensorsError> {
        let range = self.token_range(column, row);
        let bytes = &self.file.bytes(&self.spans(column).input_ids)[range.start * 4..range.end * 4];
        let ids = map(bytes, u32::from_le_bytes);
        let vocab_size = self.meta.vocab_size;
        match ids.iter().find(|id| **id as usize >= vocab_size) {
            None => Ok(ids),
            Some(id) => {
                let name = column.name();
                let what = format!("token id {id} in row {row} of \"{name}\", but the vocabulary has {vocab_size}");
                Err(TensorsError::content(self.file.name(), what))
            }
        }
    }

    /// Number of tokens of a row, without reading them.
    pub fn length(&self, column: Column, row: usize) -> usize {
        self.token_range(column, row).len()
    }

    /// Hashes of a row.
    pub fn hashes(&self, column: Column, row: usize) -> Hashes {
        let [text, document, group] =
            self.spans(column).hashes.each_ref().map(|span| u64_at(self.file.bytes(span), row));
        Hashes { text, document, group }
    }

    /// A teacher's score, or the label, of a document for its pair's anchor, if it is known.
    pub fn score(&self, column: Column, row: usize) -> Option<f32> {
        let scores = self.spans(column).scores.as_ref()?;
        Some(f32_at(self.file.bytes(scores), row)).filter(|score| !score.is_nan())
    }

    /// Dimensions of a guide model's vectors, if the shard has them.
    pub fn guide_dimension(&self) -> Option<usize> {
        self.columns[0].guide.as_ref().map(|guide| guide.dimension)
    }

    /// The guide model's vector of a row; empty in a shard without a guide.
    ///
    /// # Errors
    /// NaN or infinity in it: the file is damaged in a part that was not checked when it was opened.
    pub fn guide(&self, column: Column, row: usize) -> Result<Vec<f32>, TensorsError> {
        let Some(Guide { span, dimension }) = &self.spans(column).guide else { return Ok(Vec::new()) };
        let row_bytes = dimension * 2;
        let vector = map(&self.file.bytes(span)[row * row_bytes..(row + 1) * row_bytes], f16::from_le_bytes);
        if vector.iter().any(|x| !x.is_finite()) {
            let what = format!("\"{}\" holds NaN or infinity in row {row}", column.tensor("guide"));
            return Err(TensorsError::content(self.file.name(), what));
        }
        Ok(vector.to_f32_vec())
    }

    fn token_range(&self, column: Column, row: usize) -> Range<usize> {
        let spans = self.spans(column);
        range_at(self.file.bytes(&spans.cu_seqlens), row, spans.input_ids.len() / size_of::<u32>())
    }

    fn spans(&self, column: Column) -> &Spans {
        &self.columns[column as usize]
    }
}

/// The range between two offsets, which were checked when the file was opened. If the file has been modified since, the
/// range is wrong but within `end`; [`check_unchanged`](crate::check_unchanged) detects the modification.
fn range_at(offsets: &[u8], index: usize, end: usize) -> Range<usize> {
    let at = |index| usize::try_from(i64_at(offsets, index)).unwrap_or(end).min(end);
    let start = at(index);
    start..at(index + 1).max(start)
}
