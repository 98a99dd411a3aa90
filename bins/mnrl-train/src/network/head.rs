//! The modules after the encoder: pooling, dense layers, normalisation.

use embtune_model::{DenseActivation, ModelDir, Pooling};
use embtune_torch::tch::Tensor;
use embtune_torch::{TorchError, normalize};

use super::Packed;
use super::linear::{Affine, Builder};
use super::pooling::pool;

pub(crate) struct Head {
    pooling: Pooling,
    dense: Vec<(Affine, DenseActivation)>,
    normalizes: bool,
}

impl Head {
    pub(crate) fn new(model: &ModelDir, builder: Builder<'_>) -> Result<Self, TorchError> {
        let dense = model.dense().iter().map(|dense| {
            let stem = format!("{}.linear", dense.name);
            Ok((builder.linear(&[&stem], dense.out_features, dense.in_features)?, dense.activation))
        });
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
