//! Vectors transformed so that inner products order documents by similarity.

use std::borrow::Cow;
use std::ops::Range;

use embtune_tensors::{Embeddings, SMALLEST_NORM};
use rayon::prelude::*;

use crate::{SearchError, Similarity};

/// A vector whose length differs from 1 by at most this, two steps of an f32, is normalised already.
const ROUNDING: f32 = 2.0 * f32::EPSILON;

/// The fewest rows that are worth another thread. The CPU's workers, which are threads already, do not split their
/// blocks.
const MIN_ROWS: usize = 2048;

/// Sums that are accumulated in parallel, because one long chain of additions would be slower than the product.
const LANES: usize = 16;

/// Turns vectors into vectors whose inner product orders documents by similarity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transform {
    similarity: Similarity,
    /// Elements of a stored vector.
    dim: usize,
    /// How many of them are compared (Matryoshka).
    compared: usize,
}

impl Transform {
    pub(crate) fn new(similarity: Similarity, dim: usize, most: usize) -> Self {
        Self { similarity, dim, compared: dim.min(most) }
    }

    /// Elements of a transformed vector.
    pub(crate) fn width(self) -> usize {
        self.compared + usize::from(self.similarity == Similarity::Euclidean)
    }

    /// Transforms queries, whose elements must be finite.
    pub(crate) fn queries(self, vectors: &[f32]) -> Vec<f32> {
        // `q d - |d|² / 2` orders documents as the distance does: -|q - d|² = 2 (q d - |d|² / 2) - |q|².
        let rows = self.rows(vectors.into(), |_| 1.0);
        self.normalized(rows, None).into_owned()
    }

    /// Transforms a block of a corpus.
    ///
    /// # Errors
    /// A vector that is not finite, or too long to be compared.
    pub(crate) fn block(self, corpus: &Embeddings, block: Range<usize>) -> Result<Cow<'_, [f32]>, SearchError> {
        self.documents(corpus.rows_f32(block.clone())).ok_or_else(|| match corpus.finite_rows_f32(block) {
            // This says which vector it is. Elements can be finite while their squares overflow.
            Err(error) => error.into(),
            Ok(_) => SearchError::TooLarge(corpus.name().to_owned()),
        })
    }

    /// Transforms documents, borrowing them if they need no change. `None` if a number may not be finite.
    fn documents(self, vectors: Cow<'_, [f32]>) -> Option<Cow<'_, [f32]>> {
        let squares_of_all = all_squares(&vectors, self.dim);
        if squares_of_all.iter().any(|squares| !squares.is_finite()) {
            return None;
        }
        let squares_of_rows = (self.compared == self.dim).then_some(squares_of_all);
        Some(self.normalized(self.rows(vectors, |row| -squares(row) / 2.0), squares_of_rows))
    }

    /// Takes the elements that are compared and appends `last` for the euclidean distance.
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

    /// Divides every row by its length for the cosine. The squared lengths may be given if they are known.
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

/// The sum of squares of each row.
fn all_squares(rows: &[f32], width: usize) -> Vec<f32> {
    rows.par_chunks_exact(width).with_min_len(MIN_ROWS).map(squares).collect()
}

/// The sum of squares. It is not finite if a number is not, or if the sum is too large for an f32.
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
        let transform = Transform::new(Similarity::Cosine, 2, usize::MAX);
        let unit = [0.6, 0.8, 1.0, 0.0];
        assert!(matches!(transform.documents(unit[..].into()), Some(Cow::Borrowed(_))));
        assert_eq!(transform.documents([3.0, 4.0, 0.0, 0.0][..].into()).unwrap()[..], [0.6, 0.8, 0.0, 0.0]);
        assert!(transform.documents([f32::NAN, 1.0][..].into()).is_none());
        assert!(transform.documents([f32::INFINITY, 1.0][..].into()).is_none());
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
