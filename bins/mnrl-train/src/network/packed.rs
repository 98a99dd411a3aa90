//! Packed rows of tokens, without padding, and the keys from which the CPU computes their dropout masks.
//!
//! A mask depends on the seed, the batch, the row of the batch, the position in the row, and the site in the network.
//! It does not depend on the micro-batch in which the row is computed, or on how often it is computed.

use embtune_encoders::EncoderConfig;
use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{Sequences, TorchError};

/// A row of token ids, with the key of its dropout masks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) tokens: &'a [u32],
    pub(crate) key: u64,
}

/// All rows' tokens, concatenated: `[tokens]`.
pub(crate) struct Packed {
    /// i64 `[tokens]`.
    pub(crate) input_ids: Tensor,
    /// i64 `[tokens]`: indices into the position embeddings.
    pub(crate) positions: Tensor,
    /// i64 `[tokens]`: keys of the dropout masks; empty on CUDA.
    pub(crate) keys: Tensor,
    /// The row of the position embeddings that gets no gradient.
    pub(crate) position_padding: Option<usize>,
    /// Number of tokens of each row.
    pub(crate) lengths: Vec<i64>,
    /// Where each row starts.
    pub(crate) sequences: Sequences,
}

impl Packed {
    pub(crate) fn new(rows: &[Row<'_>], config: &EncoderConfig, device: Device) -> Result<Self, TorchError> {
        let (mut input_ids, mut positions, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let lengths: Vec<_> = rows.iter().map(|row| row.tokens.len()).collect();
        for row in rows {
            input_ids.extend(row.tokens.iter().map(|id| i64::from(*id)));
            positions.extend(config.positions(row.tokens));
            if device == Device::Cpu {
                keys.extend((0..row.tokens.len()).map(|position| token_key(row.key, position)));
            }
        }
        let tensor = |values: &[i64]| Ok::<_, TorchError>(Tensor::f_from_slice(values)?.f_to_device(device)?);
        Ok(Self {
            input_ids: tensor(&input_ids)?,
            positions: tensor(&positions)?,
            keys: tensor(&keys)?,
            position_padding: config.position_padding,
            sequences: Sequences::new(&lengths, device)?,
            lengths: lengths.iter().map(|length| *length as i64).collect(),
        })
    }
}

/// splitmix64 (Steele, Lea, Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Key of a batch, by its number in the training.
pub(crate) fn batch_key(seed: u64, batch: u64) -> u64 {
    mix(mix(seed) ^ batch)
}

/// Key of a row of a batch.
pub(crate) fn row_key(batch: u64, row: usize) -> u64 {
    mix(batch ^ row as u64)
}

/// Key of a token of a row, in the type of its tensor.
fn token_key(row: u64, position: usize) -> i64 {
    mix(row ^ position as u64) as i64
}
