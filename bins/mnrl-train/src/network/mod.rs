//! The model as a network: an encoder over packed tokens, and a head that turns each row into one vector.

mod head;
mod layers;
mod linear;
mod ops;
mod packed;

use clap::ValueEnum;
use embtune_encoders::{Encoder, EncoderConfig};
use embtune_model::ModelDir;
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Kind, Tensor, no_grad};
use serde::Serialize;

use crate::weights::lora::Lora;
use crate::weights::parameters::Parameters;
use head::Head;
use layers::Layers;
use linear::Builder;
use ops::Forward;
pub(crate) use packed::{Packed, Row, batch_key, row_key};

/// Type of the hidden states and matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Precision {
    /// 32-bit floats throughout, TF32 off
    Fp32,
    /// bfloat16, with fp32 master weights
    Bf16,
}

impl Precision {
    /// libtorch's name for it.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Fp32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// The options of a forward pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pass {
    /// Type of the hidden states and of the matrices; norms, softmax and sums are computed in f32.
    pub(crate) kind: Kind,
    /// Dropout on hidden states.
    pub(crate) hidden_dropout: f64,
    /// Dropout on attention probabilities.
    pub(crate) attention_dropout: f64,
}

impl Pass {
    /// The same pass without dropout.
    pub(crate) fn without_dropout(self) -> Self {
        Self { hidden_dropout: 0.0, attention_dropout: 0.0, ..self }
    }
}

/// A model whose weights are leaves of [`Parameters`].
pub(crate) struct Network {
    encoder: Encoder,
    layers: Layers,
    head: Head,
}

impl Network {
    pub(crate) fn new(model: &ModelDir, parameters: &Parameters, lora: Option<&Lora>) -> Result<Self, TorchError> {
        let encoder = model.encoder().clone();
        let layers = Layers::new(&encoder, Builder { parameters, lora })?;
        let head = Head::new(model, Builder { parameters, lora: None })?;
        Ok(Self { encoder, layers, head })
    }

    /// One vector per row.
    ///
    /// # Shapes
    /// - output: `[rows, dimension]`, f32
    pub(crate) fn forward(&self, packed: &Packed, pass: Pass) -> Result<Tensor, TorchError> {
        let hidden = self.encoder.forward(&mut Forward::new(&self.layers, packed, pass))?;
        self.head.forward(&hidden, packed)
    }

    /// What the encoder has in common with those of other families.
    pub(crate) fn config(&self) -> &EncoderConfig {
        self.encoder.config()
    }

    /// Vectors of rows of token ids without gradients: f32 `[rows, dimension]`.
    pub(crate) fn encode(&self, rows: &[Vec<u32>], pass: Pass, device: Device) -> Result<Tensor, TorchError> {
        let rows: Vec<_> = rows.iter().map(|tokens| Row { tokens, key: 0 }).collect();
        let packed = Packed::new(&rows, self.config(), device)?;
        no_grad(|| self.forward(&packed, pass))
    }
}
