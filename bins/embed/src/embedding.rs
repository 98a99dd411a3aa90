//! The result of embedding a record, and its encoding on disk.

use std::ops::Range;

/// The result of embedding a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordEmbedding {
    /// The vectors, concatenated: one, or one for each of `spans`; none if the text was refused.
    pub(crate) vectors: Vec<f32>,
    /// The chunks' positions in the field that was divided, in bytes, if each chunk has its own vector.
    pub(crate) spans: Vec<Range<usize>>,
    /// Number of chunks that were embedded: 1 for a text that fits or was cut, 0 for a text that was refused.
    pub(crate) chunks: u32,
    /// Number of tokens that were computed; for a text that was refused, the number of its tokens.
    pub(crate) tokens: u32,
    /// Whether the text was cut.
    pub(crate) truncated: bool,
    pub(crate) origin: Origin,
}

/// Where an embedding comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The model has just computed it.
    Model,
    /// An earlier run has put it into the `--cache`.
    Cache,
    /// The interrupted run has put it into the `--resume` file.
    ResumeFile,
}

impl RecordEmbedding {
    /// Appends the encoding, little-endian: tokens and chunks (u32 each), whether the text was cut and whether there
    /// are spans (u8 each), the spans (two u64 each), the vectors (f32).
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.tokens.to_le_bytes());
        to.extend(self.chunks.to_le_bytes());
        to.push(u8::from(self.truncated));
        to.push(u8::from(!self.spans.is_empty()));
        let ends = self.spans.iter().flat_map(|span| [span.start as u64, span.end as u64]);
        to.extend(ends.flat_map(u64::to_le_bytes));
        to.extend(self.vectors.iter().flat_map(|x| x.to_le_bytes()));
    }

    /// Removes an embedding whose vectors have `dim` elements from the front of `bytes`; `None` if `bytes` does not
    /// begin with one.
    pub(crate) fn read(bytes: &mut &[u8], dim: usize, origin: Origin) -> Option<Self> {
        let tokens = u32::from_le_bytes(take(bytes)?);
        let chunks = u32::from_le_bytes(take(bytes)?);
        let [truncated, has_spans] = take(bytes)?;
        let spans = if has_spans == 0 { 0 } else { chunks as usize };
        let spans = take_numbers(bytes, spans.checked_mul(2)?, u64::from_le_bytes)?;
        let vectors = if chunks == 0 { 0 } else { (spans.len() / 2).max(1) };
        Some(Self {
            vectors: take_numbers(bytes, vectors.checked_mul(dim)?, f32::from_le_bytes)?,
            spans: spans.as_chunks().0.iter().map(|[start, end]| *start as usize..*end as usize).collect(),
            chunks,
            tokens,
            truncated: truncated != 0,
            origin,
        })
    }
}

/// Removes N bytes from the front.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Removes `count` numbers of N bytes each from the front.
fn take_numbers<const N: usize, T>(bytes: &mut &[u8], count: usize, number: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (first, rest) = bytes.split_at_checked(count.checked_mul(N)?)?;
    *bytes = rest;
    Some(first.as_chunks().0.iter().map(|chunk| number(*chunk)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_decoded_and_truncated_ones_are_not() {
        let embedding = |vectors: usize, spans: &[Range<usize>], chunks: u32| RecordEmbedding {
            vectors: (0..vectors * 3).map(|n| n as f32).collect(),
            spans: spans.to_vec(),
            chunks,
            tokens: 7,
            truncated: chunks == 2,
            origin: Origin::ResumeFile,
        };
        let embeddings =
            [embedding(1, &[], 1), embedding(0, &[], 0), embedding(1, &[], 5), embedding(2, &[0..4, 3..9], 2)];
        let mut bytes = Vec::new();
        embeddings.iter().for_each(|embedding| embedding.write(&mut bytes));
        let mut rest = bytes.as_slice();
        for embedding in &embeddings {
            assert_eq!(RecordEmbedding::read(&mut rest, 3, Origin::ResumeFile).as_ref(), Some(embedding));
        }
        assert!(rest.is_empty() && RecordEmbedding::read(&mut rest, 3, Origin::ResumeFile).is_none());
        bytes.clear();
        embeddings[3].write(&mut bytes);
        for length in 0..bytes.len() {
            assert!(RecordEmbedding::read(&mut &bytes[..length], 3, Origin::ResumeFile).is_none(), "{length}");
        }
    }
}
