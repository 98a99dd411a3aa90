//! The modules after the encoder: pooling, dense layers, normalisation.

use embtune_model::{DenseActivation, ModelDir, Pooling};
use embtune_torch::tch::{Kind, Tensor};
use embtune_torch::{TorchError, normalize};

use super::Packed;
use super::linear::{Affine, Builder};

pub(crate) struct Head {
    pooling: Pooling,
    dense: Vec<(Affine, DenseActivation)>,
    normalizes: bool,
}

impl Head {
    pub(crate) fn new(model: &ModelDir, builder: Builder<'_>) -> Result<Self, TorchError> {
        let dense = model.dense().iter().map(|dense| Ok((builder.linear(&[&dense.linear()])?, dense.activation)));
        Ok(Self {
            pooling: model.pooling(),
            dense: dense.collect::<Result<_, TorchError>>()?,
            normalizes: model.normalizes(),
        })
    }

    /// # Shapes
    /// - `hidden`: `[tokens, hidden]`
    /// - output: `[rows, dimension]`, f32
    pub(crate) fn forward(&self, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TorchError> {
        let mut vectors = pool(self.pooling, hidden, packed)?;
        for (dense, activation) in &self.dense {
            let output = dense.apply(&vectors)?;
            vectors = match activation {
                DenseActivation::Identity => output,
                DenseActivation::Tanh => output.f_tanh()?,
                DenseActivation::Gelu => output.f_gelu("none")?,
                DenseActivation::Relu => output.f_relu()?,
            };
        }
        if self.normalizes { normalize(&vectors) } else { Ok(vectors) }
    }
}

/// Pools hidden states into one vector per row.
///
/// The formulas are those of `sentence_transformers/sentence_transformer/modules/pooling.py`.
///
/// # Shapes
/// - `hidden`: `[tokens, width]`
/// - output: `[rows, width]`, f32
fn pool(pooling: Pooling, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TorchError> {
    let lengths = Tensor::f_from_slice(&packed.lengths)?.f_to_device(hidden.device())?;
    let pick = |tokens: Tensor| Ok::<_, TorchError>(hidden.f_index_select(0, &tokens)?.f_to_kind(Kind::Float)?);
    let reduce = |values: &Tensor, how: &str, initial: f64| {
        let lengths = lengths.shallow_clone();
        Tensor::f_segment_reduce::<Tensor, f64>(values, how, Some(lengths), None, None, 0, false, initial)
    };
    let sum = |values: &Tensor| reduce(values, "sum", 0.0);
    let column = |values: Tensor| values.f_to_kind(Kind::Float)?.f_unsqueeze(1);
    match pooling {
        Pooling::Cls => pick(packed.sequences.first_tokens()?),
        Pooling::LastToken => pick(packed.sequences.first_tokens()?.f_add(&lengths)?.f_sub_scalar(1)?),
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
