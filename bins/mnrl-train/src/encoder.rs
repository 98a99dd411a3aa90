//! The forward pass of BERT and XLM-RoBERTa, over tokens without padding.
//!
//! Source of the formulas: `transformers/models/bert/modeling_bert.py` and
//! `transformers/models/xlm_roberta/modeling_xlm_roberta.py`.

use embtune_model::{Activation, Architecture, EncoderConfig, Pooling};
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{TorchError, dropout};

use crate::attention::attention;
use crate::packed::Packed;
use crate::parameters::Parameters;

/// An encoder whose weights are leaves over [`Parameters`].
pub(crate) struct Encoder {
    config: EncoderConfig,
    pooling: Pooling,
    hidden_dropout: f64,
    attention_dropout: f64,
    words: Tensor,
    positions: Tensor,
    token_types: Tensor,
    norm: Affine,
    layers: Vec<Layer>,
}

struct Layer {
    qkv: Affine,
    attention_output: Affine,
    attention_norm: Affine,
    intermediate: Affine,
    output: Affine,
    output_norm: Affine,
}

/// Weight and bias, of a linear layer (`[out, in]`, `[out]`) or a layer norm (`[hidden]` both).
struct Affine {
    weight: Tensor,
    bias: Tensor,
}

impl Encoder {
    /// An encoder that drops out as the model's configuration says, or at one rate everywhere.
    pub(crate) fn new(
        config: &EncoderConfig,
        pooling: Pooling,
        parameters: &Parameters,
        drop: Option<f64>,
    ) -> Result<Self, TorchError> {
        if !matches!(config.architecture, Architecture::Bert | Architecture::XlmRoberta) {
            return Err(TorchError::new(format!("{:?} cannot be trained yet", config.architecture)));
        }
        if !matches!(pooling, Pooling::Cls | Pooling::Mean) {
            return Err(TorchError::new(format!("pooling {pooling} cannot be trained yet")));
        }
        let (hidden, inner) = (config.hidden_size as i64, config.intermediate_size as i64);
        let table =
            |name: &str, rows: usize| parameters.leaf(&[format!("embeddings.{name}.weight")], &[rows as i64, hidden]);
        let affine = |names: &[String], shape: &[i64]| -> Result<Affine, TorchError> {
            let part = |part: &str| names.iter().map(|name| format!("{name}.{part}")).collect::<Vec<_>>();
            let weight = parameters.leaf(&part("weight"), shape)?;
            Ok(Affine { weight, bias: parameters.leaf(&part("bias"), &shape[..1])? })
        };
        let layer = |index: usize| -> Result<Layer, TorchError> {
            let name = |part: &str| format!("encoder.layer.{index}.{part}");
            let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            Ok(Layer {
                qkv: affine(&qkv, &[3 * hidden, hidden])?,
                attention_output: affine(&[name("attention.output.dense")], &[hidden, hidden])?,
                attention_norm: affine(&[name("attention.output.LayerNorm")], &[hidden])?,
                intermediate: affine(&[name("intermediate.dense")], &[inner, hidden])?,
                output: affine(&[name("output.dense")], &[hidden, inner])?,
                output_norm: affine(&[name("output.LayerNorm")], &[hidden])?,
            })
        };
        Ok(Self {
            pooling,
            hidden_dropout: drop.unwrap_or(config.hidden_dropout_prob),
            attention_dropout: drop.unwrap_or(config.attention_probs_dropout_prob),
            words: table("word_embeddings", config.vocab_size)?,
            positions: table("position_embeddings", config.max_position_embeddings)?,
            token_types: table("token_type_embeddings", config.type_vocab_size)?,
            norm: affine(&["embeddings.LayerNorm".to_owned()], &[hidden])?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }

    /// One vector a row, in the order in which the rows were packed; not normalised, the loss does that.
    ///
    /// # Shapes
    /// - output: `[rows, hidden]`
    pub(crate) fn forward(&self, packed: &Packed) -> Result<Tensor, TorchError> {
        let mut hidden = self.embed(packed)?;
        for layer in &self.layers {
            hidden = self.layer(layer, &hidden, packed)?;
        }
        self.pool(&hidden, packed)
    }

    /// `dropout(LayerNorm(word + type + position))`, `[tokens, hidden]`.
    fn embed(&self, packed: &Packed) -> Result<Tensor, TorchError> {
        let pad = self.config.pad_token_id as i64;
        // Padding's own rows have no gradient; only RoBERTa's families have one among the positions.
        let position_pad = self.config.position_padding().map_or(-1, |pad| pad as i64);
        // A sparse gradient spares the CPU a zeroed copy of the whole table; on CUDA the dense kernel is deterministic.
        let sparse = self.words.device() == Device::Cpu;
        let words = Tensor::f_embedding(&self.words, &packed.input_ids, pad, false, sparse)?;
        let positions = Tensor::f_embedding(&self.positions, &packed.positions, position_pad, false, sparse)?;
        let sum = words.f_add(&self.token_types.f_narrow(0, 0, 1)?)?.f_add(&positions)?;
        dropout(&self.layer_norm(&self.norm, &sum)?, self.hidden_dropout)
    }

    /// Post-norm: `x = LN(x + dropout(attention(x)))`, then `x = LN(x + dropout(W₂ act(W₁ x)))`.
    fn layer(&self, layer: &Layer, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TorchError> {
        let heads = self.config.num_attention_heads as i64;
        let context = attention(&linear(&layer.qkv, hidden)?, packed, heads, self.attention_dropout)?;
        let output = dropout(&linear(&layer.attention_output, &context)?, self.hidden_dropout)?;
        let hidden = self.layer_norm(&layer.attention_norm, &hidden.f_add(&output)?)?;
        let inner = self.activate(&linear(&layer.intermediate, &hidden)?)?;
        let output = dropout(&linear(&layer.output, &inner)?, self.hidden_dropout)?;
        self.layer_norm(&layer.output_norm, &hidden.f_add(&output)?)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor, TorchError> {
        Ok(match self.config.hidden_act {
            Activation::Gelu => x.f_gelu("none")?,
            Activation::GeluTanh => x.f_gelu("tanh")?,
            Activation::Relu => x.f_relu()?,
        })
    }

    fn layer_norm(&self, norm: &Affine, x: &Tensor) -> Result<Tensor, TorchError> {
        let shape = [self.config.hidden_size as i64];
        Ok(x.f_layer_norm(shape, Some(&norm.weight), Some(&norm.bias), self.config.layer_norm_eps, false)?)
    }

    fn pool(&self, hidden: &Tensor, packed: &Packed) -> Result<Tensor, TorchError> {
        let mut vectors = Vec::with_capacity(packed.runs.len());
        for (chunk, run) in hidden.f_split_with_sizes(packed.run_tokens(), 0)?.iter().zip(&packed.runs) {
            let rows = chunk.f_view([run.rows, run.length, -1])?;
            vectors.push(match self.pooling {
                Pooling::Cls => rows.f_select(1, 0)?,
                Pooling::Mean => rows.f_mean_dim(&[1_i64][..], false, Kind::Float)?,
                other => return Err(TorchError::new(format!("pooling {other} cannot be trained yet"))),
            });
        }
        Ok(Tensor::f_cat(&vectors, 0)?.f_index_select(0, &packed.restore)?)
    }
}

fn linear(layer: &Affine, x: &Tensor) -> Result<Tensor, TorchError> {
    Ok(x.f_linear(&layer.weight, Some(&layer.bias))?)
}
