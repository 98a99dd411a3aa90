//! Pooling: from hidden states to one vector per row.

use embtune_model::Pooling;
use embtune_torch::TorchError;
use embtune_torch::tch::{Kind, Tensor};

use super::Packed;

/// The formulas are those of `sentence_transformers/sentence_transformer/modules/pooling.py`.
///
/// # Shapes
/// - `hidden`: `[tokens, width]`
/// - output: `[rows, width]`, f32
pub(crate) fn pool(pooling: Pooling, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TorchError> {
    let lengths = Tensor::f_from_slice(&packed.lengths)?.f_to_device(hidden.device())?;
    let pick = |tokens: Tensor| Ok::<_, TorchError>(hidden.f_index_select(0, &tokens)?.f_to_kind(Kind::Float)?);
    let reduce = |values: &Tensor, how: &str, initial: f64| {
        let lengths = lengths.shallow_clone();
        Tensor::f_segment_reduce::<Tensor, f64>(values, how, Some(lengths), None, None, 0, false, initial)
    };
    let sum = |values: &Tensor| reduce(values, "sum", 0.0);
    let column = |values: Tensor| values.f_to_kind(Kind::Float)?.f_unsqueeze(1);
    match pooling {
        Pooling::Cls => pick(packed.first_tokens()?),
        Pooling::LastToken => pick(packed.first_tokens()?.f_add(&lengths)?.f_sub_scalar(1)?),
        Pooling::Max => Ok(reduce(&hidden.f_to_kind(Kind::Float)?, "max", f64::NEG_INFINITY)?),
        Pooling::Mean => Ok(sum(&hidden.f_to_kind(Kind::Float)?)?.f_div(&column(lengths.shallow_clone())?)?),
        Pooling::MeanSqrtLen => {
            Ok(sum(&hidden.f_to_kind(Kind::Float)?)?.f_div(&column(lengths.shallow_clone())?.f_sqrt()?)?)
        }
        Pooling::WeightedMean => {
            let weights: Vec<f32> = packed.lengths.iter().flat_map(|length| (1..=*length).map(|n| n as f32)).collect();
            let weights = Tensor::f_from_slice(&weights)?.f_to_device(hidden.device())?;
            let weighted = hidden.f_to_kind(Kind::Float)?.f_mul(&weights.f_unsqueeze(1)?)?;
            let totals: Vec<f32> = packed.lengths.iter().map(|length| (length * (length + 1) / 2) as f32).collect();
            let totals = Tensor::f_from_slice(&totals)?.f_to_device(hidden.device())?;
            Ok(sum(&weighted)?.f_div(&column(totals)?)?)
        }
    }
}
