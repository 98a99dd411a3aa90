//! What the model made of a record, and its bytes on disk.

use std::ops::Range;

/// What the model made of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// One vector behind the other: one, or one for each of `spans`; none when the text is refused.
    pub(crate) vectors: Vec<f32>,
    /// Where the chunks stand in the field that was divided, in bytes, when each has a vector of its own.
    pub(crate) spans: Vec<Range<usize>>,
    /// Chunks that the model took: 1 for a text that fits or was cut, 0 for one that is refused.
    pub(crate) chunks: u32,
    /// Tokens that were computed; of a text that is refused, its own.
    pub(crate) tokens: u32,
    /// Whether the text was cut.
    pub(crate) truncated: bool,
    pub(crate) origin: Origin,
}

/// Where an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Model,
    /// An earlier run, through `--cache`.
    Cache,
    /// The interrupted run, through `--resume`.
    Part,
}

impl Answer {
    /// Appends the answer, little-endian: tokens and chunks (u32), whether it was cut and whether there are spans (u8),
    /// the spans (two u64 each), the vectors (f32).
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        to.extend(self.tokens.to_le_bytes());
        to.extend(self.chunks.to_le_bytes());
        to.push(u8::from(self.truncated));
        to.push(u8::from(!self.spans.is_empty()));
        let ends = self.spans.iter().flat_map(|span| [span.start as u64, span.end as u64]);
        to.extend(ends.flat_map(u64::to_le_bytes));
        to.extend(self.vectors.iter().flat_map(|x| x.to_le_bytes()));
    }

    /// Takes an answer, whose vectors have `dim` elements, off the front of `bytes`; nothing when that is none.
    pub(crate) fn read(bytes: &mut &[u8], dim: usize, origin: Origin) -> Option<Self> {
        let tokens = u32::from_le_bytes(take(bytes)?);
        let chunks = u32::from_le_bytes(take(bytes)?);
        let [truncated, has_spans] = take(bytes)?;
        let spans = if has_spans == 0 { 0 } else { chunks as usize };
        let spans = numbers(bytes, spans.checked_mul(2)?, u64::from_le_bytes)?;
        let vectors = if chunks == 0 { 0 } else { (spans.len() / 2).max(1) };
        Some(Self {
            vectors: numbers(bytes, vectors.checked_mul(dim)?, f32::from_le_bytes)?,
            spans: spans.as_chunks().0.iter().map(|[start, end]| *start as usize..*end as usize).collect(),
            chunks,
            tokens,
            truncated: truncated != 0,
            origin,
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Takes `count` numbers of N bytes each.
fn numbers<const N: usize, T>(bytes: &mut &[u8], count: usize, number: fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (first, rest) = bytes.split_at_checked(count.checked_mul(N)?)?;
    *bytes = rest;
    Some(first.as_chunks().0.iter().map(|chunk| number(*chunk)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read_back_and_torn_ones_do_not() {
        let answer = |vectors: usize, spans: &[Range<usize>], chunks: u32| Answer {
            vectors: (0..vectors * 3).map(|n| n as f32).collect(),
            spans: spans.to_vec(),
            chunks,
            tokens: 7,
            truncated: chunks == 2,
            origin: Origin::Part,
        };
        let answers = [answer(1, &[], 1), answer(0, &[], 0), answer(1, &[], 5), answer(2, &[0..4, 3..9], 2)];
        let mut bytes = Vec::new();
        answers.iter().for_each(|answer| answer.write(&mut bytes));
        let mut rest = bytes.as_slice();
        for answer in &answers {
            assert_eq!(Answer::read(&mut rest, 3, Origin::Part).as_ref(), Some(answer));
        }
        assert!(rest.is_empty() && Answer::read(&mut rest, 3, Origin::Part).is_none());
        bytes.clear();
        answers[3].write(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Answer::read(&mut &bytes[..length], 3, Origin::Part).is_none(), "{length}");
        }
    }
}
