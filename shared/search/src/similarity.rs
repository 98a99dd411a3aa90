//! The similarity of two vectors.

use clap::ValueEnum;

/// The similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Similarity {
    /// The cosine of their angle
    Cosine,
    /// Their dot product
    Dot,
    /// Their distance, negated
    Euclidean,
}

impl Similarity {
    /// The similarity of two vectors of the same size, summed in f64. The cosine with a vector of zeros is 0.
    #[must_use]
    pub fn of(self, a: &[f32], b: &[f32]) -> f32 {
        let sum = |terms: &dyn Fn(f64, f64) -> f64| -> f64 {
            a.iter().zip(b).map(|(a, b)| terms(f64::from(*a), f64::from(*b))).sum()
        };
        let similarity = match self {
            Self::Dot => sum(&|a, b| a * b),
            Self::Cosine => {
                let lengths = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
                if lengths == 0.0 { 0.0 } else { sum(&|a, b| a * b) / lengths }
            }
            // A subtraction, because negating 0 gives -0.
            Self::Euclidean => 0.0 - sum(&|a, b| (a - b) * (a - b)).sqrt(),
        };
        similarity as f32
    }
}
