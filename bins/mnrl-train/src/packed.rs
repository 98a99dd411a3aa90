//! Rows of tokens side by side, without padding.

use embtune_model::EncoderConfig;
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

/// Tokens in one attention product: several short rows of equal length are cheaper together, while the scores of
/// more tokens no longer fit into the cache (measured on 2 Zen 4 cores).
const RUN_TOKENS: usize = 512;

/// Rows of equal length that stand behind each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) rows: i64,
    pub(crate) length: i64,
}

impl Run {
    pub(crate) fn tokens(self) -> i64 {
        self.rows * self.length
    }
}

/// The tokens of all rows in one sequence, longest row first.
pub(crate) struct Packed {
    /// i64 `[tokens]`.
    pub(crate) input_ids: Tensor,
    /// i64 `[tokens]`: rows of the position embeddings.
    pub(crate) positions: Tensor,
    pub(crate) runs: Vec<Run>,
    /// i64 `[rows]`: where each row, in the order in which it was given, stands now.
    pub(crate) restore: Tensor,
}

impl Packed {
    pub(crate) fn new(rows: &[Vec<u32>], config: &EncoderConfig, device: Device) -> Result<Self, TorchError> {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| std::cmp::Reverse(rows[*row].len()));
        let mut restore = vec![0_i64; rows.len()];
        let (mut input_ids, mut positions, mut runs) = (Vec::new(), Vec::new(), Vec::<Run>::new());
        for (place, row) in order.into_iter().enumerate() {
            let tokens = &rows[row];
            restore[row] = place as i64;
            input_ids.extend(tokens.iter().map(|id| i64::from(*id)));
            push_positions(&mut positions, tokens, config);
            match runs.last_mut() {
                Some(run) if run.length == tokens.len() as i64 && (run.tokens() as usize) < RUN_TOKENS => run.rows += 1,
                _ => runs.push(Run { rows: 1, length: tokens.len() as i64 }),
            }
        }
        let tensor = |values: &[i64]| Ok::<_, TorchError>(Tensor::f_from_slice(values)?.f_to_device(device)?);
        Ok(Self { input_ids: tensor(&input_ids)?, positions: tensor(&positions)?, runs, restore: tensor(&restore)? })
    }

    /// Tokens of each run.
    pub(crate) fn run_tokens(&self) -> Vec<i64> {
        self.runs.iter().map(|run| run.tokens()).collect()
    }
}

/// BERT counts from 0. RoBERTa's families count tokens that are not padding from `pad + 1`, and padding, which a text
/// may spell out, has the position `pad`.
fn push_positions(positions: &mut Vec<i64>, tokens: &[u32], config: &EncoderConfig) {
    match config.position_padding() {
        None => positions.extend(0..tokens.len() as i64),
        Some(pad) => {
            let pad = pad as i64;
            let mut next = pad;
            for token in tokens {
                let is_token = i64::from(*token) != pad;
                next += i64::from(is_token);
                positions.push(if is_token { next } else { pad });
            }
        }
    }
}
