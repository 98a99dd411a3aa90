//! What a transformer layer is made of, over packed tokens.
//!
//! On the CPU these are kernels of our own; on CUDA they are what libtorch carries.
#![allow(unsafe_code)]

use std::ptr;

use tch::{Device, Tensor};

use crate::TorchError;
use crate::ffi::{
    RawLinear, embtune_add_norm, embtune_attention, embtune_dropout, embtune_feed_forward, embtune_linear,
    embtune_varlen_attention, handle, make,
};

/// Dropout at one site of a network.
///
/// On the CPU the mask of an element is computed from its token's key, the site and its place in the line: it is the
/// same whatever batch the token is in, and the backward pass computes it again. On CUDA it is drawn from the device's
/// generator.
#[derive(Debug, Clone, Copy)]
pub struct Dropout<'a> {
    /// i64 `[tokens]`.
    pub keys: &'a Tensor,
    /// Different for each dropout that acts on a token.
    pub site: i64,
    /// Share of the elements that become 0; the others are divided by `1 − p`.
    pub p: f64,
}

impl Dropout<'_> {
    /// Applies it.
    ///
    /// # Shapes
    /// - `x`, output: `[tokens, width]`, or `[rows, heads, length, width]` of rows of the same length; f32 or bf16
    ///
    /// # Errors
    /// What libtorch says.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        if self.p == 0.0 {
            return Ok(x.shallow_clone());
        }
        if x.device() != Device::Cpu {
            return Ok(x.f_dropout(self.p, true)?);
        }
        // SAFETY: all handles are live tensors for the call.
        make(|out| unsafe { embtune_dropout(handle(x), handle(self.keys), self.site, self.p, out) })
    }
}

/// Weight and bias of a layer norm, f32 `[width]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// Factor.
    pub weight: &'a Tensor,
    /// Summand.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

impl Norm<'_> {
    /// Layer norm over the last dimension, computed in f32.
    ///
    /// # Shapes
    /// - `x`, output: `[tokens, width]`, f32 or bf16
    ///
    /// # Errors
    /// What libtorch says.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let shape = self.weight.size();
        // The kernels take weights of the type of `x` only, and compute in f32 inside.
        let (weight, bias) = (self.weight.f_to_kind(x.kind())?, self.bias.f_to_kind(x.kind())?);
        Ok(x.f_layer_norm(shape, Some(&weight), Some(&bias), self.eps, false)?)
    }
}

/// `LayerNorm(residual + dropout(x))`.
///
/// # Shapes
/// - `residual`, `x`, output: `[tokens, width]`, f32 or bf16
///
/// # Errors
/// What libtorch says.
pub fn add_norm(residual: &Tensor, x: &Tensor, norm: Norm<'_>, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
    if x.device() != Device::Cpu {
        return norm.apply(&dropout.apply(x)?.f_add(residual)?);
    }
    // SAFETY: all handles are live tensors for the call.
    make(|out| unsafe {
        embtune_add_norm(
            handle(residual),
            handle(x),
            handle(norm.weight),
            handle(norm.bias),
            norm.eps,
            handle(dropout.keys),
            dropout.site,
            dropout.p,
            out,
        )
    })
}

/// Where sequences begin among packed tokens.
#[derive(Debug, Clone, Copy)]
pub struct Sequences<'a> {
    /// `[sequences + 1]`, from 0 to the number of tokens: i64 on the CPU, i32 on CUDA.
    pub starts: &'a Tensor,
    /// Tokens of the longest.
    pub longest: i64,
}

/// `softmax(Q Kᵀ / √size) V` of every sequence over its own tokens; dropout acts on the probabilities.
///
/// # Shapes
/// - `qkv`: `[tokens, 3 · heads · size]`, f32 or bf16
/// - output: `[tokens, heads · size]`
///
/// # Errors
/// What libtorch says.
pub fn attention(
    qkv: &Tensor,
    sequences: Sequences<'_>,
    heads: i64,
    dropout: Dropout<'_>,
) -> Result<Tensor, TorchError> {
    let Dropout { keys, site, p } = dropout;
    // SAFETY: all handles are live tensors for the calls.
    make(|out| unsafe {
        if qkv.device() == Device::Cpu {
            embtune_attention(handle(qkv), handle(sequences.starts), heads, handle(keys), site, p, out)
        } else {
            embtune_varlen_attention(handle(qkv), handle(sequences.starts), sequences.longest, heads, p, out)
        }
    })
}

/// The function between the two matrices of a feed-forward block; the numbers are the shim's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// With the exact error function.
    Gelu = 0,
    /// The tanh approximation.
    GeluTanh = 1,
    /// `max(x, 0)`.
    Relu = 2,
}

/// A linear layer: `x Wᵀ + b`, `[out, in]` and `[out]`.
#[derive(Debug, Clone, Copy)]
pub struct Linear<'a> {
    /// W.
    pub weight: &'a Tensor,
    /// b.
    pub bias: &'a Tensor,
    /// What is trained in place of W, if something is.
    pub adapter: Option<Adapter<'a>>,
}

/// A change of a weight by B A, which the weight holds already: the gradient goes to A and B instead of W, without the
/// product of W's size in between.
#[derive(Debug, Clone, Copy)]
pub struct Adapter<'a> {
    /// `[rank, in]`.
    pub a: &'a Tensor,
    /// `[out, rank]`.
    pub b: &'a Tensor,
}

impl Linear<'_> {
    /// Applies it.
    ///
    /// # Shapes
    /// - `x`: `[tokens, in]`, of the weights' type
    /// - output: `[tokens, out]`
    ///
    /// # Errors
    /// What libtorch says.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        // SAFETY: all handles are live tensors for the call.
        make(|out| unsafe { embtune_linear(handle(x), &self.raw(), out) })
    }

    fn raw(&self) -> RawLinear {
        let part = |part: Option<&Tensor>| part.map_or(ptr::null_mut(), handle);
        let (a, b) = (self.adapter.map(|adapter| adapter.a), self.adapter.map(|adapter| adapter.b));
        RawLinear { weight: handle(self.weight), bias: handle(self.bias), a: part(a), b: part(b) }
    }
}

/// `W₂ act(W₁ x + b₁) + b₂`, whose backward pass computes the activation again.
///
/// # Shapes
/// - `x`, output: `[tokens, width]`, of the weights' type
///
/// # Errors
/// What libtorch says.
pub fn feed_forward(
    x: &Tensor,
    first: Linear<'_>,
    activation: Activation,
    second: Linear<'_>,
) -> Result<Tensor, TorchError> {
    // SAFETY: all handles are live tensors for the call.
    make(|out| unsafe { embtune_feed_forward(handle(x), &first.raw(), &second.raw(), activation as i64, out) })
}
