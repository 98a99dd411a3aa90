//! Vectors made ready for products.

use rayon::prelude::*;

/// As `torch.nn.functional.normalize` has it: a vector of zeros stays one.
const SMALLEST_NORM: f32 = 1e-12;

/// Divides every row by its length.
pub(crate) fn normalize(rows: &mut [f32], dim: usize) {
    rows.par_chunks_exact_mut(dim).for_each(|row| {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(SMALLEST_NORM);
        row.iter_mut().for_each(|x| *x /= norm);
    });
}
