//! Linear layers.
#![allow(unsafe_code)]

use std::ptr;

use tch::Tensor;

use crate::TorchError;
use crate::ffi::{RawLinear, embtune_linear, handle, make};

/// A linear layer: `x Wᵀ + b`, `[out, in]` and `[out]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// W: of the type of `x`, or another type of floats in which it is stored and frozen. It is then converted in each
    /// pass, and no copy of it is kept.
    pub weight: &'a Tensor,
    /// b, of the type of `x`.
    pub bias: Option<&'a Tensor>,
    /// The low-rank factors that are trained in place of W (LoRA).
    pub adapter: Option<Adapter<'a>>,
}

/// A change B A of a weight, of the type of `x`: the gradient goes to A and B instead of W, without an intermediate
/// product of W's size.
#[derive(Debug, Clone, Copy)]
pub struct Adapter<'a> {
    /// `[rank, in]`.
    pub a: &'a Tensor,
    /// `[out, rank]`.
    pub b: &'a Tensor,
    /// Whether W includes the change already. Otherwise `B (A x)` is added to the output, for W of another type, or of
    /// which there should not be a second copy.
    pub included: bool,
}

impl Linear<'_> {
    /// Applies the layer.
    ///
    /// # Shapes
    /// - `x`: `[tokens, in]`
    /// - output: `[tokens, out]`, of the type of `x`
    ///
    /// # Errors
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
        make(|out| unsafe { embtune_linear(handle(x), &self.raw(), out) })
    }

    /// What the shim takes; valid while the tensors live.
    pub(super) fn raw(&self) -> RawLinear {
        let part = |part: Option<&Tensor>| part.map_or(ptr::null_mut(), handle);
        let (a, b) = (self.adapter.map(|adapter| adapter.a), self.adapter.map(|adapter| adapter.b));
        let included = self.adapter.is_some_and(|adapter| adapter.included);
        RawLinear { weight: handle(self.weight), bias: part(self.bias), a: part(a), b: part(b), included }
    }
}
