//! What is done to a vector between the model and the output.

use std::borrow::Cow;

use embtune_tensors::SMALLEST_NORM;

/// The shape in which vectors are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Elements that are written of a vector.
    pub(crate) dim: usize,
    /// Whether vectors have length 1.
    pub(crate) normalized: bool,
}

impl Shape {
    /// Keeps the first elements (Matryoshka); what is left gets its length again.
    pub(crate) fn apply(self, vector: &[f32]) -> Cow<'_, [f32]> {
        if self.dim >= vector.len() {
            return vector.into();
        }
        let mut vector = vector[..self.dim].to_vec();
        if self.normalized {
            normalize(&mut vector);
        }
        vector.into()
    }
}

/// Divides a vector by its length.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = dot(vector, vector).sqrt().max(SMALLEST_NORM);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
}

/// The cosine of two vectors of equal length; 1 of two vectors of zeros, 0 where only one is of zeros.
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

    fn shaped(vector: &[f32], dim: usize, normalized: bool) -> Vec<f32> {
        Shape { dim, normalized }.apply(vector).into_owned()
    }

    #[test]
    fn fewer_elements_have_their_length_again() {
        let unit = [0.48, 0.64, 0.6];
        assert_eq!(shaped(&unit, 3, true), unit, "nothing is cut, nothing is computed");
        assert_eq!(shaped(&unit, 2, true), [0.6, 0.8]);
        assert_eq!(shaped(&unit, 2, false), [0.48, 0.64]);
        assert_eq!(shaped(&[0.0, 1.0], 1, true), [0.0]);
    }

    #[test]
    fn cosines_of_zeros_are_defined() {
        assert_eq!(cosine(&[3.0, 4.0], &[6.0, 8.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(cosine(&[0.0, 0.0], &[0.0, 0.0]), 1.0);
    }
}
