//! Operations on rows of vectors that losses share.

use clap::ValueEnum;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde::Serialize;

/// Similarity of two vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Similarity {
    /// Cosine of their angle
    Cosine,
    /// Dot product
    Dot,
}

impl Similarity {
    /// As in the description of a loss.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot product",
        }
    }
}

/// Length of each row, `[rows]`; the gradient at 0 is 0.
pub(crate) fn norms(x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_norm_scalaropt_dim(2, [1].as_slice(), false)?)
}

/// Sum of each row, `[rows]`.
pub(crate) fn sums(x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_sum_dim_intlist([1].as_slice(), false, None)?)
}

/// Dot product of each row with its counterpart, `[rows]`.
pub(crate) fn dots(a: &Tensor, b: &Tensor) -> Result<Tensor, TorchError> {
    sums(&a.f_mul(b)?)
}

/// Some rows, `[indices, size]`.
pub(crate) fn select(x: &Tensor, indices: impl Iterator<Item = usize>) -> Result<Tensor, TorchError> {
    let indices: Vec<i64> = indices.map(|index| index as i64).collect();
    Ok(x.f_index_select(0, &Tensor::f_from_slice(&indices)?.f_to_device(x.device())?)?)
}
