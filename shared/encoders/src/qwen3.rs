//! Qwen3, the language model that Qwen3-Embedding is made from: causal attention (bidirectional in voyage-4-nano) with fewer heads of keys and values
//! than of queries, rotary positions, and RMS norms, also over each query and key.
//!
//! Source: `transformers/models/qwen3/{configuration,modeling}_qwen3.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, RawRope, check_key_value_heads, check_rotary_head_size, parse};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
};

/// A Qwen3, which has no biases.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Qwen3 {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    /// Number of elements of a head, independent of `hidden_size`.
    head_dim: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    pad_token_id: Option<usize>,
    rope_theta: f64,
    is_causal: bool,
    /// Number of elements after the projection of the last hidden states, if there is one (voyage-4-nano).
    projection: Option<usize>,
}

#[derive(Deserialize)]
struct RawQwen3 {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    #[serde(default)]
    layer_types: Vec<String>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    is_causal: Option<bool>,
    use_bidirectional_attention: Option<bool>,
    num_labels: Option<usize>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of training, and of sliding windows, which `use_sliding_window` false turns off.
const WITHOUT_EFFECT: [&str; 4] = ["attention_dropout", "max_window_layers", "sliding_window", "use_mrope"];

impl Family for Qwen3 {
    const MODEL_TYPES: &[&str] = &["qwen3"];

    fn from_json(_: &str, json: &Value) -> Result<Self, ConfigError> {
        let mut raw: RawQwen3 = parse(json)?;
        let fixed = [
            ("hidden_act", json!("silu")),
            ("attention_bias", json!(false)),
            ("mlp_bias", json!(false)),
            ("use_sliding_window", json!(false)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        let heads = raw.num_attention_heads;
        let key_value_heads = raw.num_key_value_heads.unwrap_or(heads);
        let head_dim = raw.head_dim.unwrap_or(128);
        check_rotary_head_size(head_dim)?;
        check_key_value_heads(heads, key_value_heads)?;
        if let Some(kind) = raw.layer_types.iter().find(|kind| *kind != "full_attention") {
            let what = format!("layer type \"{kind}\" is not supported (supported: full_attention)");
            return Err(ConfigError::Unsupported(what));
        }
        if raw.rope_parameters.is_some() {
            raw.rope_scaling.take().unwrap_or_default().theta(None, 1.0)?;
        }
        let is_bidirectional = raw.is_causal == Some(false) || raw.use_bidirectional_attention == Some(true);
        let rope = raw.rope_parameters.or(raw.rope_scaling).unwrap_or_default();
        Ok(Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: heads,
            num_key_value_heads: key_value_heads,
            head_dim,
            intermediate_size: raw.intermediate_size,
            max_position_embeddings: raw.max_position_embeddings,
            rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
            pad_token_id: raw.pad_token_id,
            rope_theta: rope.theta(raw.rope_theta, 10_000.0)?,
            is_causal: !is_bidirectional,
            // Of a causal model, it counts the labels of a classifier.
            projection: raw.num_labels.filter(|_| is_bidirectional),
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "Qwen3",
            vocab_size: self.vocab_size,
            hidden_size: self.projection.unwrap_or(self.hidden_size),
            num_hidden_layers: self.num_hidden_layers,
            pad_token_id: self.pad_token_id.unwrap_or(0),
            max_length: self.max_position_embeddings,
            position_padding: None,
            has_token_types: false,
            int8: false,
            dropout: Dropout::default(),
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let embeddings = ops.embeddings(&Embeddings::of_words(
            Table { stem: "embed_tokens".into(), rows: self.vocab_size, width: self.hidden_size },
            self.pad_token_id,
        ))?;
        let mut x = ops.dropout(&embeddings)?;
        for index in 0..self.num_hidden_layers {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, &x)?;
        }
        ops.begin(Part::Head);
        let normed = ops.norm(&x, &self.norm("norm".into(), self.hidden_size))?;
        match self.projection {
            Some(width) => ops.linear(&normed, &Linear::new("linear", [width, self.hidden_size], false)),
            None => Ok(normed),
        }
    }
}

impl Qwen3 {
    fn norm(&self, stem: String, width: usize) -> Norm {
        Norm { stem, width, eps: self.rms_norm_eps, kind: NormKind::Rms { one_plus: false } }
    }

    /// `x += attention(RMS(x))`, then `x += W₂ (silu(G y) · U y)` with `y = RMS(x)`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let (hidden, inner, size) = (self.hidden_size, self.intermediate_size, self.head_dim);
        let (heads, key_value_heads) = (self.num_attention_heads, self.num_key_value_heads);
        let (queries, keys) = (heads.saturating_mul(size), key_value_heads.saturating_mul(size));
        let linear = |part: &str, shape| Linear::new(name(part), shape, false);
        let projection = Projection::Separate([
            linear("self_attn.q_proj", [queries, hidden]),
            linear("self_attn.k_proj", [keys, hidden]),
            linear("self_attn.v_proj", [keys, hidden]),
        ]);
        let attention = Attention {
            key_value_heads,
            mask: if self.is_causal { Mask::Causal } else { Mask::Full },
            head_norms: Some(["self_attn.q_norm", "self_attn.k_norm"].map(|part| self.norm(name(part), size))),
            rotary: Some(Rotary { theta: self.rope_theta, scale: 1.0 }),
            ..Attention::new(projection, heads, size)
        };
        let normed = ops.norm(x, &self.norm(name("input_layernorm"), hidden))?;
        let context = ops.attention(&normed, &attention, None)?;
        let attended = ops.linear(&context, &linear("self_attn.o_proj", [hidden, queries]))?;
        let x = ops.add(x, &attended)?;
        let normed = ops.norm(&x, &self.norm(name("post_attention_layernorm"), hidden))?;
        let feed_forward = FeedForward {
            inner: Inner::Gated {
                gate: linear("mlp.gate_proj", [inner, hidden]),
                up: linear("mlp.up_proj", [inner, hidden]),
            },
            activation: Activation::Silu,
            drops_inner: false,
            output: linear("mlp.down_proj", [hidden, inner]),
        };
        let result = ops.feed_forward(&normed, &feed_forward)?;
        ops.add(&x, &result)
    }
}
