//! Attention by plain matrix products over sequences of equal length, for what no kernel of CUDA computes.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::dropout::Dropout;
use crate::TorchError;

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// Those of the whole sequence.
    Full,
    /// Those up to its own position.
    Causal,
    /// Those at most this many positions before or behind its own.
    Window(i64),
}

impl Mask {
    /// How far a query sees back and ahead; −1 is without limit.
    pub(super) fn reach(self) -> (i64, i64) {
        match self {
            Self::Full => (-1, -1),
            Self::Causal => (-1, 0),
            Self::Window(reach) => (reach, reach),
        }
    }

    /// The keys that any of these queries sees.
    fn keys(self, queries: &Range<i64>, length: i64) -> Range<i64> {
        let (back, ahead) = self.reach();
        let start = if back < 0 { 0 } else { queries.start.saturating_sub(back).max(0) };
        let end = if ahead < 0 { length } else { (queries.end - 1).saturating_add(ahead).min(length - 1) + 1 };
        start..end
    }

    /// Which of the distances `key − query` are out of sight.
    fn hidden(self, distances: &Tensor) -> Result<Option<Tensor>, TorchError> {
        Ok(match self {
            Self::Full => None,
            Self::Causal => Some(distances.f_gt(0)?),
            Self::Window(reach) => Some(distances.f_abs()?.f_gt(reach)?),
        })
    }
}

/// Tokens in one attention product: short rows of equal length are cheaper together, but the scores of more tokens do
/// not fit into the cache (measured on 2 Zen 4 cores).
const RUN_TOKENS: i64 = 512;

/// Queries whose scores are computed together where not every key is visible.
const BLOCK: i64 = 256;

/// Consecutive sequences of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    rows: i64,
    length: i64,
}

fn runs(lengths: &[i64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for length in lengths {
        match runs.last_mut() {
            Some(run) if run.length == *length && run.rows * length < RUN_TOKENS => run.rows += 1,
            _ => runs.push(Run { rows: 1, length: *length }),
        }
    }
    runs
}

/// What the scores of all sequences have in common.
pub(super) struct Scores<'a> {
    pub(super) heads: i64,
    pub(super) kv_heads: i64,
    pub(super) scale: f64,
    pub(super) mask: Mask,
    /// f32 `[heads, 2 · max + 1]`.
    pub(super) bias: Option<&'a Tensor>,
}

/// `softmax(scale · Q Kᵀ + bias) V` in each sequence; dropout acts on the probabilities.
///
/// # Shapes
/// - `heads`: `[tokens, heads + 2 · kv_heads, size]`, rotated already
/// - output: `[tokens, heads · size]`
pub(super) fn plain_attention(
    heads: &Tensor,
    lengths: &[i64],
    scores: &Scores<'_>,
    dropout: Dropout<'_>,
) -> Result<Tensor, TorchError> {
    let runs = runs(lengths);
    let tokens: Vec<_> = runs.iter().map(|run| run.rows * run.length).collect();
    // One split, whose gradient is one concatenation; the gradient of each slice would have the size of the whole
    // tensor.
    let chunks = heads.f_split_with_sizes(&tokens[..], 0)?;
    let size = heads.size()[2];
    let mut start = 0;
    let mut contexts = Vec::with_capacity(chunks.len());
    for (chunk, run) in chunks.iter().zip(&runs) {
        let count = run.rows * run.length;
        if count == 0 {
            continue;
        }
        // [rows, heads of all kinds, length, size]
        let chunk = chunk.f_view([run.rows, run.length, -1, size])?.f_transpose(1, 2)?;
        let parts = chunk.f_split_with_sizes([scores.heads, scores.kv_heads, scores.kv_heads].as_slice(), 1)?;
        // On CUDA masks are drawn, and there are no keys.
        let keys = if dropout.keys.numel() == 0 {
            dropout.keys.shallow_clone()
        } else {
            dropout.keys.f_narrow(0, start, count)?
        };
        let context = scores.attend(&parts, run.length, Dropout { keys: &keys, ..dropout })?;
        contexts.push(context.f_transpose(1, 2)?.f_reshape([count, scores.heads * size])?);
        start += count;
    }
    if contexts.is_empty() {
        return Ok(heads.f_narrow(1, 0, scores.heads)?.f_reshape([0, scores.heads * size])?);
    }
    Ok(Tensor::f_cat(&contexts, 0)?)
}

impl Scores<'_> {
    /// # Shapes
    /// - `parts`: queries `[rows, heads, length, size]`, keys and values `[rows, kv_heads, length, size]`
    /// - output: `[rows, heads, length, size]`
    fn attend(&self, parts: &[Tensor], length: i64, dropout: Dropout<'_>) -> Result<Tensor, TorchError> {
        let group = self.heads / self.kv_heads;
        let repeated = |x: &Tensor| x.f_repeat_interleave_self_int(group, 1, None);
        let (queries, keys, values) = (parts[0].f_mul_scalar(self.scale)?, repeated(&parts[1])?, repeated(&parts[2])?);
        // With dropout a line of probabilities has its mask from its first element on, so it is computed whole.
        let block = if self.mask == Mask::Full || dropout.p > 0.0 { length } else { BLOCK };
        let mut contexts = Vec::new();
        for first in (0..length).step_by(usize::try_from(block).unwrap_or(usize::MAX)) {
            let rows = first..(first + block).min(length);
            let columns = if dropout.p > 0.0 { 0..length } else { self.mask.keys(&rows, length) };
            let part = |x: &Tensor, range: &Range<i64>| x.f_narrow(2, range.start, range.end - range.start);
            let scores = part(&queries, &rows)?.f_matmul(&part(&keys, &columns)?.f_transpose(-2, -1)?)?;
            let probabilities = self.visible(scores, &rows, &columns)?.f_softmax(-1, Kind::Float)?;
            let probabilities = dropout.apply(&probabilities.f_to_kind(values.kind())?)?;
            contexts.push(probabilities.f_matmul(&part(&values, &columns)?)?);
        }
        Ok(Tensor::f_cat(&contexts, 2)?)
    }

    /// The scores with their bias, and −∞ where a key is out of sight.
    fn visible(&self, scores: Tensor, rows: &Range<i64>, columns: &Range<i64>) -> Result<Tensor, TorchError> {
        if self.bias.is_none() && self.mask == Mask::Full {
            return Ok(scores);
        }
        let positions =
            |range: &Range<i64>| Tensor::f_arange_start(range.start, range.end, (Kind::Int64, scores.device()));
        let distances = positions(columns)?.f_unsqueeze(0)?.f_sub(&positions(rows)?.f_unsqueeze(1)?)?;
        let mut scores = scores;
        if let Some(bias) = self.bias {
            let max = (bias.size()[1] - 1) / 2;
            let index = distances.f_clamp(-max, max)?.f_add_scalar(max)?;
            let bias =
                bias.f_index_select(1, &index.f_view(-1)?)?.f_view([self.heads, index.size()[0], index.size()[1]])?;
            scores = scores.f_add(&bias.f_to_kind(scores.kind())?)?;
        }
        if let Some(hidden) = self.mask.hidden(&distances)? {
            scores = scores.f_masked_fill(&hidden, f64::NEG_INFINITY)?;
        }
        Ok(scores)
    }
}
