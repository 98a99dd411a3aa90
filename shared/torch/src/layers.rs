//! The operations of a transformer layer, over packed tokens.
//!
//! On the CPU they are this crate's own kernels, on CUDA those of libtorch.
#![allow(unsafe_code)]

use std::ptr;

use embtune_tensors::SMALLEST_NORM;
use tch::{Device, Kind, Tensor};

use crate::TorchError;
use crate::ffi::{
    RawLinear, embtune_add_norm, embtune_attention, embtune_dropout, embtune_feed_forward, embtune_linear,
    embtune_varlen_attention, handle, make,
};

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

/// Weight and bias of a layer norm, f32 `[width]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a> {
    /// γ, the factor.
    pub weight: &'a Tensor,
    /// β, the summand.
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
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        let shape = self.weight.size();
        // The kernels require weights of the type of `x`, and compute in f32 internally.
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
/// Shapes, types or devices that do not match.
pub fn add_norm(residual: &Tensor, x: &Tensor, norm: Norm<'_>, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
    if x.device() != Device::Cpu {
        return norm.apply(&dropout.apply(x)?.f_add(residual)?);
    }
    // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
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

/// Where each sequence starts among packed tokens (`cu_seqlens`).
///
/// Built from lengths only and never changed: CUDA's kernels read memory at these offsets, and checking them on the
/// device before each call would take longer than the call.
#[derive(Debug)]
pub struct Sequences {
    /// `[sequences + 1]`, from 0 to the number of tokens, never falling: i64 on the CPU, i32 on CUDA.
    starts: Tensor,
    tokens: i64,
    longest: i64,
}

impl Sequences {
    /// Sequences of these lengths, concatenated.
    ///
    /// # Errors
    /// More tokens than the device's kernels can count.
    pub fn new(lengths: &[usize], device: Device) -> Result<Self, TorchError> {
        let most = if device == Device::Cpu { i64::MAX } else { i32::MAX.into() };
        let mut starts = vec![0_i64];
        let mut tokens = 0_i64;
        for length in lengths {
            let next = i64::try_from(*length).ok().and_then(|length| tokens.checked_add(length));
            tokens = next
                .filter(|tokens| *tokens <= most)
                .ok_or_else(|| TorchError::new(format!("more than {most} tokens in one pass")))?;
            starts.push(tokens);
        }
        let starts = Tensor::f_from_slice(&starts)?;
        let starts = if device == Device::Cpu { starts } else { starts.f_to_kind(Kind::Int)?.f_to_device(device)? };
        Ok(Self { starts, tokens, longest: lengths.iter().max().map_or(0, |length| *length as i64) })
    }

    /// Index of each sequence's first token, i64 `[sequences]`.
    ///
    /// # Errors
    /// An error of libtorch.
    pub fn first_tokens(&self) -> Result<Tensor, TorchError> {
        let first = self.starts.f_narrow(0, 0, self.starts.size()[0] - 1)?;
        // A copy: through a view the offsets could be changed.
        Ok(first.f_to_dtype(Kind::Int64, false, true)?)
    }
}

/// `softmax(Q Kᵀ / √size) V` of every sequence over its own tokens; dropout acts on the probabilities.
///
/// # Shapes
/// - `qkv`: `[tokens, 3 · heads · size]`, f32 or bf16
/// - output: `[tokens, heads · size]`
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn attention(qkv: &Tensor, sequences: &Sequences, heads: i64, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
    let Dropout { keys, site, p } = dropout;
    let rows = qkv.size().first().copied().unwrap_or(0);
    if rows != sequences.tokens {
        return Err(TorchError::new(format!("attention: sequences of {} tokens for {rows}", sequences.tokens)));
    }
    // SAFETY: all handles are live tensors for the calls, which check their shapes and types. The sequences have as
    // many tokens as `qkv` has rows, which keeps CUDA's kernels within its memory.
    make(|out| unsafe {
        if qkv.device() == Device::Cpu {
            embtune_attention(handle(qkv), handle(&sequences.starts), heads, handle(keys), site, p, out)
        } else {
            embtune_varlen_attention(handle(qkv), handle(&sequences.starts), sequences.longest, heads, p, out)
        }
    })
}

/// The function between the two matrices of a feed-forward block, numbered as in the shim.
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
    /// The low-rank factors that are trained in place of W (LoRA).
    pub adapter: Option<Adapter<'a>>,
}

/// A change B A that is already included in the weight: the gradient goes to A and B instead of W, without an
/// intermediate product of W's size.
#[derive(Debug, Clone, Copy)]
pub struct Adapter<'a> {
    /// `[rank, in]`.
    pub a: &'a Tensor,
    /// `[out, rank]`.
    pub b: &'a Tensor,
}

impl Linear<'_> {
    /// Applies the layer.
    ///
    /// # Shapes
    /// - `x`: `[tokens, in]`, of the weights' type
    /// - output: `[tokens, out]`
    ///
    /// # Errors
    /// Shapes, types or devices that do not match.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        // SAFETY: all handles are live tensors for the call, which checks that their shapes and types match.
        make(|out| unsafe { embtune_linear(handle(x), &self.raw(), out) })
    }

    fn raw(&self) -> RawLinear {
        let part = |part: Option<&Tensor>| part.map_or(ptr::null_mut(), handle);
        let (a, b) = (self.adapter.map(|adapter| adapter.a), self.adapter.map(|adapter| adapter.b));
        RawLinear { weight: handle(self.weight), bias: handle(self.bias), a: part(a), b: part(b) }
    }
}

/// `W₂ act(W₁ x + b₁) + b₂`; the backward pass computes the activation again instead of keeping it.
///
/// # Shapes
/// - `x`, output: `[tokens, width]`, of the weights' type
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
