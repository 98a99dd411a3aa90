//! Parameters and gradients as views of flat buffers, and the optimizer over those buffers.
#![allow(unsafe_code)]

use std::ops::Range;
use std::ptr;

use tch::{Kind, Tensor};

use crate::TorchError;
use crate::ffi::{RawAdamW, check, embtune_adamw, embtune_clip, embtune_leaf, handle, make};

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

/// A range of the parameters with its own options, as in `torch.optim`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamGroup {
    /// Elements of the flat buffer.
    pub range: Range<i64>,
    /// Factor on the learning rate.
    pub lr_scale: f64,
    /// λ.
    pub weight_decay: f64,
}

/// AdamW (Loshchilov and Hutter 2019), as `torch.optim.AdamW` computes it:
/// `θ ← θ·(1 − η·λ) − η / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)`, with β₁ 0.9, β₂ 0.999 and ε 1e-8.
pub struct AdamW {
    groups: Vec<ParamGroup>,
    /// m, f32 `[n]`.
    pub moment1: Tensor,
    /// v, f32 `[n]`.
    pub moment2: Tensor,
    /// t: steps taken.
    pub steps: u64,
}

impl AdamW {
    /// An optimizer for the buffer `parameters`, f32 `[n]`, that has taken no step. Elements that are in no group keep
    /// their values.
    ///
    /// # Errors
    /// A group outside the buffer, or groups that overlap: their elements would be updated twice in a step.
    pub fn new(parameters: &Tensor, groups: Vec<ParamGroup>) -> Result<Self, TorchError> {
        let mut ranges: Vec<_> = groups.iter().map(|group| &group.range).collect();
        ranges.sort_by_key(|range| (range.start, range.end));
        let count = parameters.numel() as i64;
        let mut end = 0;
        for Range { start, end: next } in ranges {
            if *start < end || next < start || *next > count {
                return Err(TorchError::new(format!("adamw: parameter group {start}..{next} of {count}, after {end}")));
            }
            end = *next;
        }
        let moment = || parameters.f_zeros_like();
        Ok(Self { groups, moment1: moment()?, moment2: moment()?, steps: 0 })
    }

    /// Takes one step.
    ///
    /// # Shapes
    /// - `parameters`, `grad`: `[n]`, f32; `grad` is divided by `divisor`, `[]`, in place.
    ///
    /// # Errors
    /// Tensors of other types or shapes, or that are not contiguous.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        grad: &Tensor,
        learning_rate: f64,
        divisor: &Tensor,
    ) -> Result<(), TorchError> {
        self.steps += 1;
        let steps = Tensor::f_full([] as [i64; 0], self.steps as f64, (Kind::Float, parameters.device()))?;
        for ParamGroup { range, lr_scale, weight_decay } in &self.groups {
            let part = |flat: &Tensor| flat.f_narrow(0, range.start, range.end - range.start);
            let (parameter, grad) = (part(parameters)?, part(grad)?);
            let (moment1, moment2) = (part(&self.moment1)?, part(&self.moment2)?);
            let options = RawAdamW {
                learning_rate: learning_rate * lr_scale,
                beta1: 0.9,
                beta2: 0.999,
                weight_decay: *weight_decay,
                epsilon: 1e-8,
            };
            // SAFETY: all handles are live tensors for the call, which checks that they are contiguous and have
            // the same number of floats before it writes to them.
            check(unsafe {
                embtune_adamw(
                    handle(&parameter),
                    handle(&grad),
                    handle(&moment1),
                    handle(&moment2),
                    handle(&steps),
                    &options,
                    handle(divisor),
                )
            })?;
        }
        Ok(())
    }
}
