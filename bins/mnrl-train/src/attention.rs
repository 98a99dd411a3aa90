//! Attention of every row over its own tokens.

use embtune_torch::tch::Tensor;
use embtune_torch::{TorchError, dropout};

use crate::packed::Packed;

/// `softmax(Q Kᵀ / √d) V` in each row; dropout acts on the probabilities, as in the reference.
///
/// # Shapes
/// - `qkv`: `[tokens, 3 · hidden]`, queries, keys and values of all heads
/// - output: `[tokens, hidden]`
pub(crate) fn attention(qkv: &Tensor, packed: &Packed, heads: i64, drop: f64) -> Result<Tensor, TorchError> {
    let size = qkv.size()[1] / 3 / heads;
    let scale = 1.0 / (size as f64).sqrt();
    // One split, whose gradient is one concatenation: a slice each would have a gradient of the whole size each.
    let chunks = qkv.f_split_with_sizes(packed.run_tokens(), 0)?;
    let mut contexts = Vec::with_capacity(chunks.len());
    for (chunk, run) in chunks.iter().zip(&packed.runs) {
        // [3, rows, heads, length, size]
        let parts = chunk.f_view([run.rows, run.length, 3, heads, size])?.f_permute([2, 0, 3, 1, 4])?.f_unbind(0)?;
        let context = if drop == 0.0 {
            Tensor::f_scaled_dot_product_attention::<Tensor>(
                &parts[0], &parts[1], &parts[2], None, 0.0, false, scale, false,
            )?
        } else {
            // With dropout the fused kernel falls back to this anyway, and draws its numbers one by one.
            let scores = parts[0].f_mul_scalar(scale)?.f_matmul(&parts[1].f_transpose(-2, -1)?)?;
            dropout(&scores.f_softmax(-1, scores.kind())?, drop)?.f_matmul(&parts[2])?
        };
        contexts.push(context.f_transpose(1, 2)?.f_reshape([run.tokens(), heads * size])?);
    }
    Ok(Tensor::f_cat(&contexts, 0)?)
}
