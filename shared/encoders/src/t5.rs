//! T5's encoder, the base of sentence-t5, gtr and instructor: RMS norms before each part of a layer, no positions but a
//! bias on attention scores by relative position, and no scale on them.
//!
//! Source: `transformers/models/t5/{configuration,modeling}_t5.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, parse};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Norm, NormKind, Ops, Part, Projection, RelativeBias, Table,
};

/// The encoder of a T5, which has no biases.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct T5 {
    vocab_size: usize,
    d_model: usize,
    /// Number of elements of a head, independent of `d_model`.
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_heads: usize,
    relative_attention_num_buckets: usize,
    relative_attention_max_distance: usize,
    layer_norm_epsilon: f64,
    activation: Activation,
    is_gated: bool,
    pad_token_id: usize,
    dropout: Dropout,
}

#[derive(Deserialize)]
struct RawT5 {
    vocab_size: usize,
    #[serde(default = "default_d_model")]
    d_model: usize,
    #[serde(default = "default_d_kv")]
    d_kv: usize,
    #[serde(default = "default_d_ff")]
    d_ff: usize,
    #[serde(default = "default_layers")]
    num_layers: usize,
    #[serde(default = "default_heads")]
    num_heads: usize,
    #[serde(default = "default_buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "default_distance")]
    relative_attention_max_distance: usize,
    layer_norm_epsilon: Option<f64>,
    feed_forward_proj: Option<String>,
    pad_token_id: Option<usize>,
    dropout_rate: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// More than any encoder distinguishes: the rows of the table are looked up for each distance.
const MAX_DISTANCE: usize = 1 << 16;

fn default_d_model() -> usize {
    512
}
fn default_d_kv() -> usize {
    64
}
fn default_d_ff() -> usize {
    2048
}
fn default_layers() -> usize {
    6
}
fn default_heads() -> usize {
    8
}
fn default_buckets() -> usize {
    32
}
fn default_distance() -> usize {
    128
}

/// Keys of the decoder, of training, and what `feed_forward_proj` says already. Relative positions have no end, whatever
/// `n_positions` says.
const WITHOUT_EFFECT: [&str; 7] = [
    "dense_act_fn",
    "initializer_factor",
    "is_encoder_decoder",
    "is_gated_act",
    "n_positions",
    "num_decoder_layers",
    "scale_decoder_outputs",
];

impl Family for T5 {
    const MODEL_TYPES: &[&str] = &["t5", "mt5"];

    fn from_json(_: &str, json: &Value) -> Result<Self, ConfigError> {
        let raw: RawT5 = parse(json)?;
        let fixed = [("is_causal", json!(false))];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        for (size, key) in [(raw.num_heads, "num_heads"), (raw.d_kv, "d_kv")] {
            if size == 0 {
                return Err(ConfigError::Invalid(format!("{key} is 0")));
            }
        }
        let (buckets, distance) = (raw.relative_attention_num_buckets, raw.relative_attention_max_distance);
        if buckets < 4 || !buckets.is_multiple_of(4) || !(buckets / 4 + 1..=MAX_DISTANCE).contains(&distance) {
            let what = format!("{buckets} buckets of relative positions up to a distance of {distance}");
            return Err(ConfigError::Unsupported(format!("{what} are not supported")));
        }
        let kind = raw.feed_forward_proj.as_deref().unwrap_or("relu");
        let (activation, is_gated) = match kind {
            // What transformers takes for it, because the first models were trained with it.
            "gated-gelu" => (Activation::GeluTanh, true),
            _ => match kind.strip_prefix("gated-") {
                Some(activation) => (Activation::parse("feed_forward_proj", activation)?, true),
                None => (Activation::parse("feed_forward_proj", kind)?, false),
            },
        };
        let dropout = raw.dropout_rate.unwrap_or(0.1);
        Ok(Self {
            vocab_size: raw.vocab_size,
            d_model: raw.d_model,
            d_kv: raw.d_kv,
            d_ff: raw.d_ff,
            num_layers: raw.num_layers,
            num_heads: raw.num_heads,
            relative_attention_num_buckets: buckets,
            relative_attention_max_distance: distance,
            layer_norm_epsilon: raw.layer_norm_epsilon.unwrap_or(1e-6),
            activation,
            is_gated,
            pad_token_id: raw.pad_token_id.unwrap_or(0),
            dropout: Dropout { hidden: Some(("dropout_rate", dropout)), attention: Some(("dropout_rate", dropout)) },
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "T5",
            vocab_size: self.vocab_size,
            hidden_size: self.d_model,
            num_hidden_layers: self.num_layers,
            pad_token_id: self.pad_token_id,
            max_length: usize::MAX,
            position_padding: None,
            has_token_types: false,
            int8: false,
            dropout: self.dropout,
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let embeddings = ops.embeddings(&Embeddings::of_words(
            Table { stem: "shared".into(), rows: self.vocab_size, width: self.d_model },
            None,
        ))?;
        let mut x = ops.dropout(&embeddings)?;
        // Stored with the first layer, and used in all of them.
        let bias = ops.relative_bias(&RelativeBias {
            table: Table {
                stem: "encoder.block.0.layer.0.SelfAttention.relative_attention_bias".into(),
                rows: self.relative_attention_num_buckets,
                width: self.num_heads,
            },
            max_distance: self.relative_attention_max_distance,
        })?;
        for index in 0..self.num_layers {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, &x, &bias)?;
        }
        ops.begin(Part::Head);
        let normed = ops.norm(&x, &self.norm("encoder.final_layer_norm".into()))?;
        ops.dropout(&normed)
    }
}

impl T5 {
    fn norm(&self, stem: String) -> Norm {
        let kind = NormKind::Rms { one_plus: false };
        Norm { stem, width: self.d_model, eps: self.layer_norm_epsilon, kind }
    }

    /// `x += attention(RMS(x))`, then `x += W₂ inner(RMS(x))`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value, bias: &O::Bias) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("encoder.block.{index}.layer.{part}");
        let (hidden, inner, heads, size) = (self.d_model, self.d_ff, self.num_heads, self.d_kv);
        let width = heads.saturating_mul(size);
        let linear = |part: &str, shape| Linear::new(name(part), shape, false);
        let projection = Projection::Separate(
            ["0.SelfAttention.q", "0.SelfAttention.k", "0.SelfAttention.v"].map(|part| linear(part, [width, hidden])),
        );
        let attention = Attention { scale: 1.0, ..Attention::new(projection, heads, size) };
        let normed = ops.norm(x, &self.norm(name("0.layer_norm")))?;
        let context = ops.attention(&normed, &attention, Some(bias))?;
        let attended = ops.linear(&context, &linear("0.SelfAttention.o", [hidden, width]))?;
        let x = ops.add(x, &attended)?;
        let normed = ops.norm(&x, &self.norm(name("1.layer_norm")))?;
        let matrix = |part: &str| linear(part, [inner, hidden]);
        let feed_forward = FeedForward {
            inner: match self.is_gated {
                true => Inner::Gated { gate: matrix("1.DenseReluDense.wi_0"), up: matrix("1.DenseReluDense.wi_1") },
                false => Inner::Plain(matrix("1.DenseReluDense.wi")),
            },
            activation: self.activation,
            drops_inner: true,
            output: linear("1.DenseReluDense.wo", [hidden, inner]),
        };
        let result = ops.feed_forward(&normed, &feed_forward)?;
        ops.add(&x, &result)
    }
}
