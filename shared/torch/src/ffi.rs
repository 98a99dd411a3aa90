//! The shim's functions.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_double, c_int};
use std::ptr;

use tch::{Kind, TchError, Tensor};
use torch_sys::C_tensor;

use crate::AdamW;

/// What libtorch said.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(pub(crate) String);

impl TorchError {
    /// An error that is not libtorch's own, from the code that drives it.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl From<TchError> for TorchError {
    /// Only the first line is fit for people: the rest lists C++ frames or back ends.
    fn from(error: TchError) -> Self {
        Self(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

type Handle = *mut C_tensor;

#[repr(C)]
struct RawAdamW {
    learning_rate: c_double,
    beta1: c_double,
    beta2: c_double,
    weight_decay: c_double,
    epsilon: c_double,
}

unsafe extern "C" {
    fn embtune_last_error() -> *const c_char;
    fn embtune_leaf(data: Handle, grad: Handle, out: *mut Handle) -> c_int;
    fn embtune_clip(grad: Handle, max_norm: c_double, norm: *mut Handle, divisor: *mut Handle) -> c_int;
    fn embtune_adamw(
        parameter: Handle,
        grad: Handle,
        moment1: Handle,
        moment2: Handle,
        step: Handle,
        options: *const RawAdamW,
        divisor: Handle,
    ) -> c_int;
    fn embtune_dropout(x: Handle, p: c_double, out: *mut Handle) -> c_int;
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast_mut()
}

fn check(status: c_int) -> Result<(), TorchError> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the message is a thread-local C string that lives until the next failure on this thread.
    let message = unsafe { CStr::from_ptr(embtune_last_error()) };
    Err(TorchError(message.to_string_lossy().lines().next().unwrap_or_default().to_owned()))
}

/// A leaf of the autograd graph that shares the storage of `data` and adds its gradients up in `grad`.
///
/// # Shapes
/// - `data`, `grad`: any, the same.
///
/// # Errors
/// Shapes or types that differ.
pub fn leaf(data: &Tensor, grad: &Tensor) -> Result<Tensor, TorchError> {
    let mut out = ptr::null_mut();
    // SAFETY: both handles are live tensors for the call; a result of 0 means that `out` is a new one, owned by us.
    unsafe {
        check(embtune_leaf(handle(data), handle(grad), &mut out))?;
        Ok(Tensor::from_ptr(out))
    }
}

/// The L2 norm of a flat gradient, and the divisor (at least 1) that brings it down to `max_norm`:
/// `max((norm + 1e-6) / max_norm, 1)`, as `torch.nn.utils.clip_grad_norm_`.
///
/// # Shapes
/// - `grad`: any, contiguous, f32
/// - outputs: `[]`, f32
///
/// # Errors
/// What libtorch says.
pub fn clip(grad: &Tensor, max_norm: f64) -> Result<(Tensor, Tensor), TorchError> {
    let (mut norm, mut divisor) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: as in `leaf`.
    unsafe {
        check(embtune_clip(handle(grad), max_norm, &mut norm, &mut divisor))?;
        Ok((Tensor::from_ptr(norm), Tensor::from_ptr(divisor)))
    }
}

/// Sets each element to 0 with probability `p` and divides the others by `1 − p`.
///
/// # Shapes
/// - `x`, output: any, f32 on the CPU
///
/// # Errors
/// What libtorch says.
pub fn dropout(x: &Tensor, p: f64) -> Result<Tensor, TorchError> {
    if p == 0.0 {
        return Ok(x.shallow_clone());
    }
    if x.device() != tch::Device::Cpu || x.kind() != Kind::Float {
        return Ok(x.f_dropout(p, true)?);
    }
    let mut out = ptr::null_mut();
    // SAFETY: as in `leaf`.
    unsafe {
        check(embtune_dropout(handle(x), p, &mut out))?;
        Ok(Tensor::from_ptr(out))
    }
}

/// One fused step over flat tensors of the same size.
pub(crate) fn adamw_step(
    options: &AdamW,
    learning_rate: f64,
    weight_decay: f64,
    [parameter, grad, moment1, moment2]: [&Tensor; 4],
    step: &Tensor,
    divisor: &Tensor,
) -> Result<(), TorchError> {
    let raw =
        RawAdamW { learning_rate, beta1: options.beta1, beta2: options.beta2, weight_decay, epsilon: options.epsilon };
    // SAFETY: all handles are live tensors for the call, which writes to their elements only.
    check(unsafe {
        embtune_adamw(
            handle(parameter),
            handle(grad),
            handle(moment1),
            handle(moment2),
            handle(step),
            &raw,
            handle(divisor),
        )
    })
}
