//! The feed-forward block of a layer, plain and gated.
#![allow(unsafe_code)]

use std::ptr;

use tch::Tensor;

use super::linear::Linear;
use crate::TorchError;
use crate::ffi::{embtune_feed_forward, embtune_gated_feed_forward, handle, make};

/// The function between the matrices of a feed-forward block, numbered as in the shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// With the exact error function.
    Gelu = 0,
    /// The tanh approximation.
    GeluTanh = 1,
    /// `max(x, 0)`.
    Relu = 2,
    /// `x · sigmoid(x)`.
    Silu = 3,
}

impl Activation {
    /// Applies the function to each element, by an operation of libtorch.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn apply(self, x: &Tensor) -> Result<Tensor, TorchError> {
        Ok(match self {
            Self::Gelu => x.f_gelu("none"),
            Self::GeluTanh => x.f_gelu("tanh"),
            Self::Relu => x.f_relu(),
            Self::Silu => x.f_silu(),
        }?)
    }
}

/// `W₂ act(W₁ x + b₁) + b₂`; the backward pass computes the activation again instead of keeping it.
///
/// # Shapes
/// - `x`, output: `[tokens, width]`
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn feed_forward(
    x: &Tensor,
    first: Linear<'_>,
    activation: Activation,
    second: Linear<'_>,
) -> Result<Tensor, TorchError> {
    // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
    make(|out| unsafe { embtune_feed_forward(handle(x), &first.raw(), &second.raw(), activation as i64, out) })
}

/// The layers before the product of a gated block: `gate`, which is activated, and `up`.
#[derive(Debug, Clone, Copy)]
pub enum Gate<'a> {
    /// A layer each, `[inner, width]`.
    Separate {
        /// The layer that is activated.
        gate: Linear<'a>,
        /// The other factor.
        up: Linear<'a>,
    },
    /// One layer `[2 · inner, width]` whose first half is the gate.
    GateFirst(Linear<'a>),
    /// One layer `[2 · inner, width]` whose second half is the gate.
    UpFirst(Linear<'a>),
}

/// `W₂ (act(gate x) · up x)`; the backward pass computes the product again, and keeps only the outputs of gate and up.
///
/// # Shapes
/// - `x`, output: `[tokens, width]`
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn gated_feed_forward(
    x: &Tensor,
    gate: Gate<'_>,
    activation: Activation,
    down: Linear<'_>,
) -> Result<Tensor, TorchError> {
    let (first, second, gate_first) = match gate {
        Gate::Separate { gate, up } => (gate.raw(), Some(up.raw()), true),
        Gate::GateFirst(both) => (both.raw(), None, true),
        Gate::UpFirst(both) => (both.raw(), None, false),
    };
    let second = second.as_ref().map_or(ptr::null(), ptr::from_ref);
    let activation = activation as i64;
    // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
    make(|out| unsafe {
        embtune_gated_feed_forward(handle(x), &first, second, gate_first, &down.raw(), activation, out)
    })
}
