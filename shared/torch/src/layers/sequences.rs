//! Where each sequence starts among packed tokens.

use std::cell::OnceCell;

use tch::{Device, Kind, Tensor};

use crate::TorchError;

/// Where each sequence starts among packed tokens (`cu_seqlens`).
///
/// Built from lengths only and never changed: CUDA's kernels read memory at these offsets, and checking them on the
/// device before each call would take longer than the call.
#[derive(Debug)]
pub struct Sequences {
    /// `[sequences + 1]`, from 0 to the number of tokens, never falling: i64 on the CPU, i32 on CUDA.
    pub(super) starts: Tensor,
    /// Number of tokens of each sequence.
    pub(super) lengths: Vec<i64>,
    pub(super) tokens: i64,
    pub(super) longest: i64,
    /// What [`Self::positions`] returns.
    positions: OnceCell<Tensor>,
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
        let lengths: Vec<_> = lengths.iter().map(|length| *length as i64).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        Ok(Self { starts, lengths, tokens, longest, positions: OnceCell::new() })
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

    /// Each token's position in its sequence, i64 `[tokens]`.
    pub(super) fn positions(&self) -> Result<&Tensor, TorchError> {
        if let Some(positions) = self.positions.get() {
            return Ok(positions);
        }
        let positions: Vec<_> = self.lengths.iter().flat_map(|length| 0..*length).collect();
        let positions = Tensor::f_from_slice(&positions)?.f_to_device(self.starts.device())?;
        Ok(self.positions.get_or_init(|| positions))
    }
}
