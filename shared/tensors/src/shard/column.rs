//! The columns of a training shard.

use std::ops::Range;

use safetensors::Dtype;

use crate::numbers::{check_offsets, f32_at, first_not_finite_f16, i64_at, map};
use crate::{TensorFile, TensorsError};

/// One of the three columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The queries.
    Anchor,
    /// Their answers.
    Positive,
    /// Texts that are not answers.
    Negative,
}

impl Column {
    /// All of them, in file order.
    pub const ALL: [Self; 3] = [Self::Anchor, Self::Positive, Self::Negative];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Positive => "positive",
            Self::Negative => "negative",
        }
    }

    pub(crate) fn tensor(self, part: &str) -> String {
        format!("{}.{part}", self.name())
    }

    /// Whether its rows are documents, which have scores.
    pub(crate) fn is_document(self) -> bool {
        self != Self::Anchor
    }
}

/// Hashes that tell whether two texts may be negatives of each other; 0 is unknown and equals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hashes {
    /// Hash of the raw text.
    pub text: u64,
    /// Hash of the document's id.
    pub document: u64,
    /// Hash of the parent document's id.
    pub group: u64,
}

impl Hashes {
    pub(crate) const TENSORS: [&'static str; 3] = ["text_hash", "document_hash", "group_hash"];
}

/// The positions of a checked column's tensors in the file.
pub(crate) struct Spans {
    pub(crate) rows: usize,
    pub(crate) input_ids: Range<usize>,
    pub(crate) cu_seqlens: Range<usize>,
    /// As [`Hashes::TENSORS`].
    pub(crate) hashes: [Range<usize>; 3],
    pub(crate) scores: Option<Range<usize>>,
    pub(crate) guide: Option<Guide>,
}

/// A guide model's vectors, `[rows, dimension]`.
pub(crate) struct Guide {
    pub(crate) span: Range<usize>,
    pub(crate) dimension: usize,
}

/// One of several parts, of the same size, of a file's token ids and vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// From 0.
    pub(crate) number: usize,
    pub(crate) of: usize,
}

impl Part {
    /// Its share of the elements.
    fn range(self, elements: usize) -> Range<usize> {
        // Wide, because the product may overflow 64 bits.
        let at = |number: usize| (elements as u128 * number as u128 / self.of as u128) as usize;
        at(self.number)..at(self.number + 1)
    }
}

impl Spans {
    /// Checks all numbers of a column, but only a part of the token ids and of the guide's vectors.
    pub(crate) fn check(
        file: &TensorFile,
        column: Column,
        vocab_size: usize,
        part: Part,
    ) -> Result<Self, TensorsError> {
        let refuse = |what: String| TensorsError::content(file.name(), what);
        let span = |part: &str| file.span(&column.tensor(part)).unwrap_or_default();
        let ids = file.typed(&column.tensor("input_ids"), Dtype::U32, 1)?;
        let cu_seqlens = file.typed(&column.tensor("cu_seqlens"), Dtype::I64, 1)?;
        check_offsets(&column.tensor("cu_seqlens"), cu_seqlens.bytes, ids.shape[0]).map_err(refuse)?;
        let rows = cu_seqlens.shape[0].saturating_sub(1);
        if let Some(row) = (0..rows).find(|row| i64_at(cu_seqlens.bytes, *row) == i64_at(cu_seqlens.bytes, row + 1)) {
            return Err(refuse(format!("row {row} of \"{}\" has no tokens", column.name())));
        }
        let ids = &ids.bytes.as_chunks::<4>().0[part.range(ids.shape[0])];
        let largest = ids.iter().map(|id| u32::from_le_bytes(*id)).max().unwrap_or(0);
        if rows > 0 && largest as usize >= vocab_size {
            return Err(refuse(format!("token id {largest}, but the vocabulary has {vocab_size}")));
        }
        for part in Hashes::TENSORS {
            check_rows(file, column, part, Dtype::U64, 1, rows)?;
        }
        Ok(Self {
            rows,
            input_ids: span("input_ids"),
            cu_seqlens: span("cu_seqlens"),
            hashes: Hashes::TENSORS.map(span),
            scores: if column.is_document() { check_scores(file, column, rows)? } else { None },
            guide: check_guide(file, column, rows, part)?,
        })
    }
}

/// A tensor with one entry per row.
fn check_rows<'a>(
    file: &'a TensorFile,
    column: Column,
    part: &str,
    dtype: Dtype,
    dimensions: usize,
    rows: usize,
) -> Result<crate::Tensor<'a>, TensorsError> {
    let tensor = file.typed(&column.tensor(part), dtype, dimensions)?;
    if tensor.shape[0] != rows {
        let what = format!("{rows} rows but {} of \"{}\"", tensor.shape[0], column.tensor(part));
        return Err(TensorsError::content(file.name(), what));
    }
    Ok(tensor)
}

fn check_scores(file: &TensorFile, column: Column, rows: usize) -> Result<Option<Range<usize>>, TensorsError> {
    let Some(span) = file.span(&column.tensor("scores")) else { return Ok(None) };
    let scores = check_rows(file, column, "scores", Dtype::F32, 1, rows)?;
    // NaN is an unknown score.
    match map(scores.bytes, f32::from_le_bytes).iter().position(|score| score.is_infinite()) {
        None => Ok(Some(span)),
        Some(row) => {
            let what = format!("entry {row} of \"{}\" is {}", column.tensor("scores"), f32_at(scores.bytes, row));
            Err(TensorsError::content(file.name(), what))
        }
    }
}

fn check_guide(file: &TensorFile, column: Column, rows: usize, part: Part) -> Result<Option<Guide>, TensorsError> {
    let Some(span) = file.span(&column.tensor("guide")) else { return Ok(None) };
    let guide = check_rows(file, column, "guide", Dtype::F16, 2, rows)?;
    let refuse = |what: &str| TensorsError::content(file.name(), format!("\"{}\" {what}", column.tensor("guide")));
    let dimension = guide.shape[1];
    if dimension == 0 {
        return Err(refuse("has vectors of 0 dimensions"));
    }
    let rows = part.range(rows);
    let row_bytes = 2 * dimension;
    if let Some(element) = first_not_finite_f16(&guide.bytes[rows.start * row_bytes..rows.end * row_bytes]) {
        return Err(refuse(&format!("holds NaN or infinity in row {}", rows.start + element / dimension)));
    }
    Ok(Some(Guide { span, dimension }))
}
