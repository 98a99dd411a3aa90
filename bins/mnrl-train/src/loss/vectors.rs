//! Operations on rows of vectors that losses share.

use embtune_tensors::SMALLEST_NORM;
use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

/// Rows at length 1, `[rows, size]`.
pub(crate) fn unit(x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_div(&norms(x)?.f_clamp_min(SMALLEST_NORM)?.f_unsqueeze(1)?)?)
}

/// Length of each row, `[rows]`; its gradient at 0 is 0.
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
