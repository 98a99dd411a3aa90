//! How near two vectors are.

use std::fmt;
use std::str::FromStr;

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of their angle.
    Cosine,
    /// Their dot product.
    Dot,
    /// Their distance, negative, so that nearer is more.
    Euclidean,
}

impl Similarity {
    /// The similarity of two vectors of one size, summed in f64; the cosine with a vector of zeros is 0.
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
            // Not a minus in front, which would make -0 of 0.
            Self::Euclidean => 0.0 - sum(&|a, b| (a - b) * (a - b)).sqrt(),
        };
        similarity as f32
    }
}

impl FromStr for Similarity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cosine" => Ok(Self::Cosine),
            "dot" => Ok(Self::Dot),
            _ => Err("expected cosine or dot".into()),
        }
    }
}

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::Euclidean => "euclidean",
        })
    }
}
