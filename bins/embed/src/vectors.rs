//! Arithmetic on vectors.

use std::borrow::Cow;

use embtune_tensors::SMALLEST_NORM;

/// Keeps the first `dim` elements of a vector (Matryoshka), and scales them to length 1 if vectors are `normalized`.
pub(crate) fn truncated(vector: &[f32], dim: usize, normalized: bool) -> Cow<'_, [f32]> {
    if dim >= vector.len() {
        return vector.into();
    }
    let mut vector = vector[..dim].to_vec();
    if normalized {
        normalize(&mut vector);
    }
    vector.into()
}

/// Scales a vector to length 1.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = dot(vector, vector).sqrt().max(SMALLEST_NORM);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
}

/// The cosine of two vectors with the same number of elements; 1 if both are zeros, 0 if only one is.
pub(crate) fn cosine(left: &[f32], right: &[f32]) -> f64 {
    let (left_norm, right_norm) = (dot(left, left).sqrt(), dot(right, right).sqrt());
    if left_norm == 0.0 && right_norm == 0.0 {
        return 1.0;
    }
    dot(left, right) / (left_norm * right_norm).max(f64::MIN_POSITIVE)
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_vectors_are_normalized_again() {
        let unit = [0.48, 0.64, 0.6];
        assert_eq!(*truncated(&unit, 3, true), unit, "nothing is cut, nothing is computed");
        assert_eq!(*truncated(&unit, 2, true), [0.6, 0.8]);
        assert_eq!(*truncated(&unit, 2, false), [0.48, 0.64]);
        assert_eq!(*truncated(&[0.0, 1.0], 1, true), [0.0]);
    }

    #[test]
    fn cosines_of_zeros_are_defined() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 1.0);
    }
}
