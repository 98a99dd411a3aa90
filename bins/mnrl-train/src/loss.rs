//! MultipleNegativesRankingLoss.

use embtune_torch::TorchError;
use embtune_torch::tch::{Kind, Reduction, Tensor};

/// As `torch.nn.functional.normalize` has it.
const SMALLEST_NORM: f64 = 1e-12;

/// `mean_i( logsumexp_j(s · cos(aᵢ, dⱼ)) − s · cos(aᵢ, dᵢ) )`, the cross entropy that asks anchor `i` for document `i`.
///
/// Henderson et al. 2017, section 4.4; sentence-transformers
/// `losses/multiple_negatives_ranking.py`, direction query to document.
///
/// # Shapes
/// - `anchors`: `[pairs, hidden]`, f32
/// - `documents`: `[documents, hidden]`, f32; document `i` is the positive of anchor `i`, the rest are negatives
/// - `mask`: bool `[pairs, documents]`, true for what does not count as a negative
/// - output: `[]`
pub(crate) fn mnrl(
    anchors: &Tensor,
    documents: &Tensor,
    mask: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor, TorchError> {
    let cosines = normalize(anchors)?.f_matmul(&normalize(documents)?.f_transpose(0, 1)?)?;
    let mut scores = cosines.f_mul_scalar(scale)?;
    if let Some(mask) = mask {
        scores = scores.f_masked_fill(mask, f64::NEG_INFINITY)?;
    }
    let targets = Tensor::f_arange(anchors.size()[0], (Kind::Int64, anchors.device()))?;
    Ok(scores.f_cross_entropy_loss::<Tensor>(&targets, None, Reduction::Mean, -100, 0.0)?)
}

fn normalize(x: &Tensor) -> Result<Tensor, TorchError> {
    let norm = x.f_norm_scalaropt_dim(2, &[1_i64][..], true)?.f_clamp_min(SMALLEST_NORM)?;
    Ok(x.f_div(&norm)?)
}
