//! Vectors made ready for products.

use std::borrow::Cow;
use std::ops::Range;

use embtune_tensors::{Embeddings, SMALLEST_NORM};
use rayon::prelude::*;

use crate::{SearchError, Similarity};

/// A length that differs from 1 by no more than this is 1 but for rounding: two steps of an f32.
const ROUNDING: f32 = 2.0 * f32::EPSILON;

/// Rows that are worth a thread of their own: a CPU's worker, who has neighbours, keeps its blocks.
const MIN_ROWS: usize = 2048;

/// Sums that run side by side: one long sum would be slower than the product.
const LANES: usize = 16;

/// What is done to vectors so that a product of theirs orders documents by similarity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form {
    similarity: Similarity,
    /// Elements that are stored.
    dim: usize,
    /// Elements that are compared.
    compared: usize,
}

impl Form {
    pub(crate) fn new(similarity: Similarity, dim: usize, most: usize) -> Self {
        Self { similarity, dim, compared: dim.min(most) }
    }

    /// Elements of a vector that is ready.
    pub(crate) fn width(self) -> usize {
        self.compared + usize::from(self.similarity == Similarity::Euclidean)
    }

    /// Queries, which hold finite numbers.
    pub(crate) fn queries(self, vectors: &[f32]) -> Vec<f32> {
        // `q d - |d|² / 2` orders documents as the distance does: -|q - d|² = 2 (q d - |d|² / 2) - |q|².
        let rows = self.rows(vectors.into(), |_| 1.0);
        self.normalized(rows, None).into_owned()
    }

    /// A block of a corpus.
    ///
    /// # Errors
    /// A vector that is not finite, or too long to be compared.
    pub(crate) fn block(self, corpus: &Embeddings, block: Range<usize>) -> Result<Cow<'_, [f32]>, SearchError> {
        self.documents(corpus.rows_f32(block.clone())).ok_or_else(|| match corpus.finite_rows_f32(block) {
            // Says which one it is. Numbers whose squares are too large are finite, but nothing can be compared.
            Err(error) => error.into(),
            Ok(_) => SearchError::TooLarge(corpus.name().to_owned()),
        })
    }

    /// Documents, borrowed where nothing has to be done; nothing when a number may not be finite.
    fn documents(self, vectors: Cow<'_, [f32]>) -> Option<Cow<'_, [f32]>> {
        let squares_of_all = all_squares(&vectors, self.dim);
        if squares_of_all.iter().any(|squares| !squares.is_finite()) {
            return None;
        }
        let squares_of_rows = (self.compared == self.dim).then_some(squares_of_all);
        Some(self.normalized(self.rows(vectors, |row| -squares(row) / 2.0), squares_of_rows))
    }

    /// The elements that are compared, with a last one when distances are.
    fn rows(self, vectors: Cow<'_, [f32]>, last: impl Fn(&[f32]) -> f32) -> Cow<'_, [f32]> {
        if self.width() == self.dim {
            return vectors;
        }
        let mut rows = Vec::with_capacity(vectors.len() / self.dim * self.width());
        for row in vectors.chunks_exact(self.dim) {
            let row = &row[..self.compared];
            rows.extend_from_slice(row);
            if self.similarity == Similarity::Euclidean {
                rows.push(last(row));
            }
        }
        rows.into()
    }

    /// Divides every row by its length, when only directions are compared; the squares of the lengths may be known.
    fn normalized<'a>(self, mut rows: Cow<'a, [f32]>, squares: Option<Vec<f32>>) -> Cow<'a, [f32]> {
        if self.similarity != Similarity::Cosine {
            return rows;
        }
        let squares = squares.unwrap_or_else(|| all_squares(&rows, self.compared));
        if squares.iter().any(|squares| (squares.sqrt() - 1.0).abs() > ROUNDING) {
            let vectors = rows.to_mut().par_chunks_exact_mut(self.compared).with_min_len(MIN_ROWS);
            vectors.zip(squares).for_each(|(row, squares)| {
                let norm = squares.sqrt().max(SMALLEST_NORM as f32);
                row.iter_mut().for_each(|x| *x /= norm);
            });
        }
        rows
    }
}

/// The parts in which a corpus is compared: of one file each, and no longer than `most`.
///
/// Those of a file are as equal as they can be: the product of a small remainder would add in another order, and equal
/// vectors would have scores that differ.
pub(crate) fn blocks(corpus: &Embeddings, most: usize) -> impl Iterator<Item = Range<usize>> {
    corpus.files().flat_map(move |rows| {
        let size = rows.len().div_ceil(rows.len().div_ceil(most).max(1)).max(1);
        rows.clone().step_by(size).map(move |start| start..rows.end.min(start + size))
    })
}

/// The sum of squares of each row.
fn all_squares(rows: &[f32], width: usize) -> Vec<f32> {
    rows.par_chunks_exact(width).with_min_len(MIN_ROWS).map(squares).collect()
}

/// The sum of squares: not finite when a number is not, or when the sum is too large for an f32.
fn squares(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x * x;
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|x| x * x).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_vectors_are_borrowed_and_others_divided() {
        let form = Form::new(Similarity::Cosine, 2, usize::MAX);
        let unit = [0.6, 0.8, 1.0, 0.0];
        assert!(matches!(form.documents(unit[..].into()), Some(Cow::Borrowed(_))));
        assert_eq!(form.documents([3.0, 4.0, 0.0, 0.0][..].into()).unwrap()[..], [0.6, 0.8, 0.0, 0.0]);
        assert!(form.documents([f32::NAN, 1.0][..].into()).is_none());
        assert!(form.documents([f32::INFINITY, 1.0][..].into()).is_none());
    }

    #[test]
    fn sums_of_squares_have_all_elements() {
        for length in 0..70 {
            let row: Vec<f32> = (0..length).map(|n| n as f32).collect();
            let expected: f32 = (0..length).map(|n| (n * n) as f32).sum();
            assert_eq!(squares(&row), expected, "{length}");
        }
    }
}
