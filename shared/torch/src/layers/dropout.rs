//! Dropout, and the addition of what it acts on.
#![allow(unsafe_code)]

use tch::{Device, Tensor};

use crate::TorchError;
use crate::ffi::{embtune_dropout, handle, make};

/// Dropout at one site of a network.
///
/// On the CPU the mask of an element is a hash of its token's key, the site and its position in the row: it does not
/// depend on the batch that the token is in, and the backward pass computes it again. On CUDA it is drawn from the
/// device's random number generator.
#[derive(Debug, Clone, Copy)]
pub struct Dropout<'a> {
    /// i64 `[tokens]`.
    pub keys: &'a Tensor,
    /// Distinguishes the dropouts that act on one token.
    pub site: i64,
    /// Probability that an element becomes 0, in [0, 1); the others are divided by `1 − p`.
    pub p: f64,
}

impl Dropout<'_> {
    /// Applies dropout.
    ///
    /// # Shapes
    /// - `x`, output: `[tokens, width]`, or `[rows, heads, length, width]` of rows of the same length; f32 or bf16
    ///
    /// # Errors
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        if self.p == 0.0 {
            return Ok(x.shallow_clone());
        }
        if x.device() != Device::Cpu {
            return Ok(x.f_dropout(self.p, true)?);
        }
        // SAFETY: all handles are live tensors for the call, which checks that there is a key for each line of `x`.
        make(|out| unsafe { embtune_dropout(handle(x), handle(self.keys), self.site, self.p, out) })
    }
}

/// `residual + dropout(x)`.
///
/// # Shapes
/// - `residual`, `x`, output: `[tokens, width]`, f32 or bf16
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn add(residual: &Tensor, x: &Tensor, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
    if residual.size() != x.size() || residual.kind() != x.kind() {
        let (a, b) = (residual.size(), x.size());
        return Err(TorchError::new(format!("add: {a:?} of {:?} and {b:?} of {:?}", residual.kind(), x.kind())));
    }
    Ok(residual.f_add(&dropout.apply(x)?)?)
}
