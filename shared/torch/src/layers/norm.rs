//! Norms over the elements of a token, or of a head.
#![allow(unsafe_code)]

use std::ptr;

use embtune_tensors::SMALLEST_NORM;
use tch::{Device, Kind, Tensor};

use super::dropout::{Dropout, add};
use crate::TorchError;
use crate::ffi::{embtune_add_norm, handle, make};

/// What a norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// The standard deviation, after subtracting the mean.
    Layer,
    /// The root of the mean square.
    Rms {
        /// Whether the factor is `1 + weight` (Gemma) instead of the weight.
        one_plus: bool,
    },
}

/// A norm with its weights, f32 `[width]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// γ, the factor.
    pub weight: &'a Tensor,
    /// β, the summand; of a layer norm only.
    pub bias: Option<&'a Tensor>,
    /// Added to the variance, or to the mean square.
    pub eps: f64,
    /// What it divides by.
    pub kind: NormKind,
}

impl Norm<'_> {
    /// The norm over the last dimension, computed in f32.
    ///
    /// # Shapes
    /// - `x`, output: `[.., width]`, f32 or bf16
    ///
    /// # Errors
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let shape = self.weight.size();
        let NormKind::Rms { one_plus } = self.kind else {
            // The kernels require weights of the type of `x`, and compute in f32 internally.
            let weight = self.weight.f_to_kind(x.kind())?;
            let bias = self.bias.map(|bias| bias.f_to_kind(x.kind())).transpose()?;
            return Ok(x.f_layer_norm(shape, Some(&weight), bias.as_ref(), self.eps, false)?);
        };
        if shape.len() != 1 || x.size().last() != shape.last() || self.bias.is_some() {
            return Err(TorchError::new(format!("rms norm: a weight of {shape:?} for {:?}", x.size())));
        }
        let factor = if one_plus { self.weight.f_add_scalar(1.0)? } else { self.weight.shallow_clone() };
        let wide = x.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim([-1].as_slice(), true, Kind::Float)?;
        let rstd = mean.f_add_scalar(self.eps)?.f_rsqrt()?;
        Ok(wide.f_mul(&rstd)?.f_mul(&factor)?.f_to_kind(x.kind())?)
    }
}

/// `norm(residual + dropout(x))`.
///
/// # Shapes
/// - `residual`, `x`, output: `[tokens, width]`, f32 or bf16
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn add_norm(residual: &Tensor, x: &Tensor, norm: Norm<'_>, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
    if x.device() != Device::Cpu || norm.kind != NormKind::Layer {
        return norm.apply(&add(residual, x, dropout)?);
    }
    // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
    make(|out| unsafe {
        embtune_add_norm(
            handle(residual),
            handle(x),
            handle(norm.weight),
            norm.bias.map_or(ptr::null_mut(), handle),
            norm.eps,
            handle(dropout.keys),
            dropout.site,
            dropout.p,
            out,
        )
    })
}

/// A norm over each head of queries and of keys; values stay as they are.
///
/// # Shapes
/// - `qkv`, output: `[tokens, (heads + 2 · kv_heads) · size]`, as [`attention`](super::attention::attention) takes it
/// - `query`, `key`: `[size]`
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn head_norm(
    qkv: &Tensor,
    heads: i64,
    kv_heads: i64,
    query: Norm<'_>,
    key: Norm<'_>,
) -> Result<Tensor, TorchError> {
    let size = query.weight.numel() as i64;
    let columns = kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(heads)?.checked_mul(size));
    if qkv.dim() != 2 || heads <= 0 || kv_heads <= 0 || columns != qkv.size().last().copied() {
        let of = format!("{heads} heads of {size} elements over {kv_heads} heads of keys");
        return Err(TorchError::new(format!("head norm: {:?} are not queries, keys and values of {of}", qkv.size())));
    }
    let parts = qkv.f_view([-1, heads + 2 * kv_heads, size])?;
    let parts = parts.f_split_with_sizes([heads, kv_heads, kv_heads].as_slice(), 1)?;
    Ok(Tensor::f_cat(&[&query.apply(&parts[0])?, &key.apply(&parts[1])?, &parts[2]], 1)?.f_view_as(qkv)?)
}

/// Rows scaled to length 1 (`torch.nn.functional.normalize`); rows of zeros stay zeros.
///
/// # Shapes
/// - `x`, output: `[rows, width]`
///
/// # Errors
/// An error of libtorch.
pub fn normalize(x: &Tensor) -> Result<Tensor, TorchError> {
    let norms = x.f_norm_scalaropt_dim(2, [1].as_slice(), false)?;
    Ok(x.f_div(&norms.f_clamp_min(SMALLEST_NORM)?.f_unsqueeze(1)?)?)
}
