//! Parameters and gradients as views of flat buffers.
#![allow(unsafe_code)]

use std::ptr;

use tch::Tensor;

use crate::TorchError;
use crate::ffi::{check, embtune_clip, embtune_leaf, handle, make};

/// A leaf of the autograd graph that shares the storage of `data` and accumulates its gradient in `grad`.
///
/// # Shapes
/// - `data`, `grad`: any, of the same shape and type
///
/// # Errors
/// Shapes, types or devices that differ; a gradient whose elements share memory.
pub fn leaf(data: &Tensor, grad: &Tensor) -> Result<Tensor, TorchError> {
    // SAFETY: both handles are live tensors for the call. Autograd adds to the gradient without checking it, so the
    // call checks what autograd requires of a gradient that it creates itself.
    make(|out| unsafe { embtune_leaf(handle(data), handle(grad), out) })
}

/// The L2 norm of a flat gradient, and the divisor (at least 1) that reduces it to `max_norm`:
/// `max((norm + 1e-6) / max_norm, 1)`, as `torch.nn.utils.clip_grad_norm_`.
///
/// # Shapes
/// - `grad`: any, contiguous, f32
/// - outputs: `[]`, f32
///
/// # Errors
/// Another type, a tensor that is not contiguous, a negative norm.
pub fn clip(grad: &Tensor, max_norm: f64) -> Result<(Tensor, Tensor), TorchError> {
    let (mut norm, mut divisor) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: the handle is a live tensor for the call; 0 means that both results are new tensors, owned by us.
    unsafe {
        check(embtune_clip(handle(grad), max_norm, &mut norm, &mut divisor))?;
        Ok((Tensor::from_ptr(norm), Tensor::from_ptr(divisor)))
    }
}
