//! Attention with a bias on the scores that depends on the relative position.
//!
//! No fused kernel supports such a bias, so this uses plain matrix products over rows of equal length.

use std::collections::BTreeMap;

use embtune_model::relative_position_bucket;
use embtune_torch::tch::{Kind, Tensor};
use embtune_torch::{Dropout, TorchError};

/// Tokens in one attention product: short rows of equal length are cheaper together, but the scores of more tokens do
/// not fit into the cache (measured on 2 Zen 4 cores).
const RUN_TOKENS: i64 = 512;

/// Consecutive rows of equal length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    rows: i64,
    length: i64,
}

/// The biases for all row lengths of a batch.
pub(crate) struct RelativeBias {
    runs: Vec<Run>,
    /// By length: `[heads, length, length]`.
    biases: BTreeMap<i64, Tensor>,
}

impl RelativeBias {
    /// # Shapes
    /// - `table`: `[buckets, heads]`
    pub(crate) fn new(table: &Tensor, lengths: &[i64], kind: Kind) -> Result<Self, TorchError> {
        let mut runs: Vec<Run> = Vec::new();
        for length in lengths {
            match runs.last_mut() {
                Some(run) if run.length == *length && run.rows * length < RUN_TOKENS => run.rows += 1,
                _ => runs.push(Run { rows: 1, length: *length }),
            }
        }
        let mut biases = BTreeMap::new();
        for Run { length, .. } in &runs {
            if biases.contains_key(length) {
                continue;
            }
            let buckets: Vec<_> = (0..*length)
                .flat_map(|query| (0..*length).map(move |key| relative_position_bucket(key - query) as i64))
                .collect();
            let buckets = Tensor::f_from_slice(&buckets)?.f_to_device(table.device())?;
            let bias = table.f_index_select(0, &buckets)?.f_view([*length, *length, -1])?.f_permute([2, 0, 1])?;
            biases.insert(*length, bias.f_to_kind(kind)?);
        }
        Ok(Self { runs, biases })
    }
}

/// `softmax(Q Kᵀ / √size + bias) V` in each row; dropout acts on the probabilities.
///
/// # Shapes
/// - `qkv`: `[tokens, 3 · heads · size]`
/// - output: `[tokens, heads · size]`
pub(crate) fn relative_attention(
    qkv: &Tensor,
    bias: &RelativeBias,
    heads: i64,
    dropout: Dropout<'_>,
) -> Result<Tensor, TorchError> {
    let size = qkv.size()[1] / 3 / heads;
    let scale = 1.0 / (size as f64).sqrt();
    let tokens: Vec<_> = bias.runs.iter().map(|run| run.rows * run.length).collect();
    // One split, whose gradient is one concatenation; the gradient of each slice would have the size of the whole
    // tensor.
    let chunks = qkv.f_split_with_sizes(&tokens[..], 0)?;
    let mut start = 0;
    let mut contexts = Vec::with_capacity(chunks.len());
    for (chunk, run) in chunks.iter().zip(&bias.runs) {
        let count = run.rows * run.length;
        // [3, rows, heads, length, size]
        let parts = chunk.f_view([run.rows, run.length, 3, heads, size])?.f_permute([2, 0, 3, 1, 4])?.f_unbind(0)?;
        let scores = parts[0].f_mul_scalar(scale)?.f_matmul(&parts[1].f_transpose(-2, -1)?)?;
        let scores = scores.f_add(&bias.biases[&run.length])?;
        let probabilities = scores.f_softmax(-1, Kind::Float)?.f_to_kind(qkv.kind())?;
        // On CUDA masks are drawn, and there are no keys.
        let keys = if dropout.keys.numel() == 0 {
            dropout.keys.shallow_clone()
        } else {
            dropout.keys.f_narrow(0, start, count)?
        };
        let context = Dropout { keys: &keys, ..dropout }.apply(&probabilities)?.f_matmul(&parts[2])?;
        contexts.push(context.f_transpose(1, 2)?.f_reshape([count, heads * size])?);
        start += count;
    }
    Ok(Tensor::f_cat(&contexts, 0)?)
}
