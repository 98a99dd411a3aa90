//! Rotary position embeddings (Su et al. 2021), of the kind that pairs the halves of a head.

use std::cell::RefCell;

use tch::{Device, Kind, Tensor};

use super::sequences::Sequences;
use crate::TorchError;

/// Rotates queries and keys by an angle that grows with their position in the sequence, which is counted from 0: elements
/// `i` and `i + size / 2` of a head are a pair, and turn by `position · θᵢ`.
///
/// Source: `apply_rotary_pos_emb` and `rotate_half` of `transformers/models/llama/modeling_llama.py`, in f32.
#[derive(Debug)]
pub struct Rotary {
    /// Angle per position of each pair, f32 `[size / 2]`.
    frequencies: Tensor,
    /// Cosines and sines of the first positions, f32 `[positions, size]`: it grows when longer sequences come.
    table: RefCell<Option<Tensor>>,
}

impl Rotary {
    /// Frequencies `theta^(−2i / size)`, computed in f32 like transformers does.
    ///
    /// # Errors
    /// An odd size, or one that is not positive.
    pub fn new(theta: f64, size: i64) -> Result<Self, TorchError> {
        if size <= 0 || size % 2 != 0 {
            return Err(TorchError::new(format!("rotary: a head of {size} elements has no halves")));
        }
        let exponents = Tensor::f_arange_start_step(0, size, 2, (Kind::Float, Device::Cpu))?.f_div_scalar(size)?;
        Self::with_frequencies(&Tensor::f_pow_scalar(theta, &exponents)?.f_reciprocal()?)
    }

    /// Given frequencies, as scaled variants of the embedding have them.
    ///
    /// # Shapes
    /// - `frequencies`: f32 `[size / 2]`, angle per position of each pair
    ///
    /// # Errors
    /// No frequencies, or not a vector of floats.
    pub fn with_frequencies(frequencies: &Tensor) -> Result<Self, TorchError> {
        if frequencies.kind() != Kind::Float || frequencies.dim() != 1 || frequencies.numel() == 0 {
            return Err(TorchError::new("rotary: expected a vector of frequencies of type Float"));
        }
        Ok(Self { frequencies: frequencies.f_detach_copy()?, table: RefCell::new(None) })
    }

    /// Number of elements of a head.
    pub(super) fn size(&self) -> i64 {
        2 * self.frequencies.size()[0]
    }

    /// Cosines, then sines, of at least `positions` positions, f32 `[positions, size]` on the device.
    pub(super) fn table(&self, positions: i64, device: Device) -> Result<Tensor, TorchError> {
        let mut table = self.table.borrow_mut();
        if let Some(table) = table.as_ref().filter(|table| table.size()[0] >= positions && table.device() == device) {
            return Ok(table.shallow_clone());
        }
        // A power of two: a longer sequence in each batch must not make a table in each batch.
        let positions = positions.max(1).unsigned_abs().checked_next_power_of_two();
        let positions = positions.and_then(|positions| i64::try_from(positions).ok());
        let positions = positions.ok_or_else(|| TorchError::new("rotary: too many positions"))?;
        let positions = Tensor::f_arange(positions, (Kind::Float, device))?.f_unsqueeze(1)?;
        let angles = positions.f_mul(&self.frequencies.f_to_device(device)?)?;
        let made = Tensor::f_cat(&[angles.f_cos()?, angles.f_sin()?], 1)?;
        Ok(table.insert(made).shallow_clone())
    }

    /// Rotates the first `heads` heads of every token by plain operations, in f32.
    ///
    /// # Shapes
    /// - `x`, output: `[tokens, heads of all kinds, size]`
    pub(super) fn apply(&self, x: &Tensor, heads: i64, sequences: &Sequences) -> Result<Tensor, TorchError> {
        let table = self.table(sequences.longest, x.device())?.f_index_select(0, sequences.positions()?)?;
        let angles = table.f_unsqueeze(1)?.f_chunk(2, -1)?;
        let (cos, sin) = (&angles[0], &angles[1]);
        let parts = x.f_split_with_sizes([heads, x.size()[1] - heads].as_slice(), 1)?;
        let halves = parts[0].f_to_kind(Kind::Float)?.f_chunk(2, -1)?;
        let first = halves[0].f_mul(cos)?.f_sub(&halves[1].f_mul(sin)?)?;
        let second = halves[1].f_mul(cos)?.f_add(&halves[0].f_mul(sin)?)?;
        let rotated = Tensor::f_cat(&[first, second], -1)?.f_to_kind(x.kind())?;
        Ok(Tensor::f_cat(&[&rotated, &parts[1]], 1)?)
    }
}
