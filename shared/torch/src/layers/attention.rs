//! Attention of every sequence over its own tokens.
#![allow(unsafe_code)]

use tch::{Device, Kind, Tensor};

use super::dropout::Dropout;
use super::plain_attention::{Mask, Scores, plain_attention};
use super::rotary::Rotary;
use super::sequences::Sequences;
use crate::TorchError;
use crate::ffi::{embtune_attention, embtune_varlen_attention, handle, make};

/// The kind of an attention: `softmax(scale · Q Kᵀ + bias) V` over the keys that the mask shows.
#[derive(Debug, Clone, Copy)]
pub struct Attention<'a> {
    /// Heads of queries.
    pub heads: i64,
    /// Heads of keys and values; a multiple of them are heads of queries, and consecutive ones share one.
    pub kv_heads: i64,
    /// Elements of a head.
    pub size: i64,
    /// Factor of the scores.
    pub scale: f64,
    /// Which keys a query sees.
    pub mask: Mask,
    /// Rotates queries and keys by their position.
    pub rotary: Option<&'a Rotary>,
    /// Added to the scores, f32 `[heads, 2 · max + 1]`: by `key − query`, from `−max` to `max`, which stand for all
    /// distances beyond.
    pub bias: Option<&'a Tensor>,
}

impl Attention<'_> {
    /// Plain attention: as many heads of keys as of queries, scores divided by √size, all keys visible.
    pub fn new(heads: i64, size: i64) -> Self {
        let scale = f64::from(1.0 / (size as f32).sqrt());
        Self { heads, kv_heads: heads, size, scale, mask: Mask::Full, rotary: None, bias: None }
    }

    /// Refuses what does not fit together.
    fn check(&self, qkv: &Tensor, sequences: &Sequences) -> Result<(), TorchError> {
        let Self { heads, kv_heads, size, .. } = *self;
        let refuse = |what: String| Err(TorchError::new(format!("attention: {what}")));
        let &[rows, columns] = qkv.size().as_slice() else {
            return refuse("expected a matrix of queries, keys and values".to_owned());
        };
        let expected = kv_heads.checked_mul(2).and_then(|kv| kv.checked_add(heads)?.checked_mul(size));
        if heads <= 0 || kv_heads <= 0 || size <= 0 || heads % kv_heads != 0 || expected != Some(columns) {
            let of = format!("{heads} heads of {size} elements over {kv_heads} heads of keys");
            return refuse(format!("{columns} columns are not queries, keys and values of {of}"));
        }
        if rows != sequences.tokens {
            return refuse(format!("sequences of {} tokens for {rows}", sequences.tokens));
        }
        if let Mask::Window(reach) = self.mask
            && reach < 0
        {
            return refuse(format!("a window of {reach} positions"));
        }
        if !self.scale.is_finite() {
            return refuse(format!("a scale of {}", self.scale));
        }
        if let Some(rotary) = self.rotary
            && rotary.size() != size
        {
            return refuse(format!("a rotation of {} elements for heads of {size}", rotary.size()));
        }
        if let Some(bias) = self.bias
            && (bias.kind() != Kind::Float
                || bias.device() != qkv.device()
                || bias.dim() != 2
                || bias.size()[0] != heads
                || bias.size()[1] % 2 != 1)
        {
            return refuse(format!("a bias of {:?} for {heads} heads", bias.size()));
        }
        Ok(())
    }
}

/// Attention of every sequence over its own tokens; dropout acts on the probabilities.
///
/// # Shapes
/// - `qkv`: `[tokens, (heads + 2 · kv_heads) · size]`, the heads of queries, then those of keys, then those of values; f32
///   or bf16
/// - output: `[tokens, heads · size]`
///
/// # Errors
/// Shapes, types or devices that do not match.
pub fn attention(
    qkv: &Tensor,
    sequences: &Sequences,
    options: Attention<'_>,
    dropout: Dropout<'_>,
) -> Result<Tensor, TorchError> {
    options.check(qkv, sequences)?;
    let Attention { heads, kv_heads, size, scale, mask, rotary, bias } = options;
    let Dropout { keys, site, p } = dropout;
    let is_plain = mask == Mask::Full && heads == kv_heads && rotary.is_none() && bias.is_none();
    if !is_plain || scale != Attention::new(heads, size).scale {
        let parts = qkv.f_view([-1, heads + 2 * kv_heads, size])?;
        let parts =
            rotary.map_or(Ok(parts.shallow_clone()), |rotary| rotary.apply(&parts, heads + kv_heads, sequences))?;
        let scores = Scores { heads, kv_heads, scale, mask, bias };
        return plain_attention(&parts, &sequences.lengths, &scores, dropout);
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
