//! Gemma 3, the language model that EmbeddingGemma is made from: RMS norms before and after each part of a layer, and
//! windows in most layers. EmbeddingGemma attends in both directions.
//!
//! Source: `transformers/models/gemma3/{configuration,modeling}_gemma3.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{
    ConfigError, FULL_ATTENTION, OtherKeys, RawRope, SLIDING_ATTENTION, are_full, check_key_value_heads,
    check_rotary_head_size, check_sizes, parse,
};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
};

/// A bidirectional Gemma 3 for text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gemma3 {
    vocab_size: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    /// Number of elements of a head, independent of `hidden_size`.
    head_dim: usize,
    intermediate_size: usize,
    hidden_activation: Activation,
    max_position_embeddings: usize,
    rms_norm_eps: f64,
    pad_token_id: Option<usize>,
    query_pre_attn_scalar: f64,
    /// For each layer, whether it attends to the whole text rather than to a window.
    is_global: Vec<bool>,
    /// Number of tokens that a window reaches on either side of a token.
    window: usize,
    global_rope_theta: f64,
    local_rope_theta: f64,
}

#[derive(Deserialize)]
struct RawGemma3 {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    #[serde(default = "default_key_value_heads")]
    num_key_value_heads: usize,
    #[serde(default = "default_head_dim")]
    head_dim: usize,
    intermediate_size: usize,
    hidden_activation: Option<String>,
    max_position_embeddings: usize,
    rms_norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    query_pre_attn_scalar: Option<f64>,
    layer_types: Option<Vec<String>>,
    sliding_window_pattern: Option<usize>,
    sliding_window: Option<usize>,
    rope_theta: Option<f64>,
    rope_local_base_freq: Option<f64>,
    /// Written by transformers 5, by the type of layer.
    rope_parameters: Option<BTreeMap<String, Option<RawRope>>>,
    rope_scaling: Option<RawRope>,
    #[serde(default)]
    use_bidirectional_attention: bool,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn default_key_value_heads() -> usize {
    4
}
fn default_head_dim() -> usize {
    256
}

impl Family for Gemma3 {
    const MODEL_TYPES: &[&str] = &["gemma3_text"];

    fn from_json(_: &str, json: &Value) -> Result<Self, ConfigError> {
        let raw: RawGemma3 = parse(json)?;
        let fixed = [
            ("attention_bias", json!(false)),
            ("attn_logit_softcapping", json!(null)),
            ("final_logit_softcapping", json!(null)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &["attention_dropout"] }.check(&raw.rest)?;
        check_sizes(raw.hidden_size, raw.num_hidden_layers, raw.max_position_embeddings)?;
        check_rotary_head_size(raw.head_dim)?;
        check_key_value_heads(raw.num_attention_heads, raw.num_key_value_heads)?;
        if !raw.use_bidirectional_attention {
            let what = "use_bidirectional_attention false is not supported (supported: true)";
            return Err(ConfigError::Unsupported(what.into()));
        }
        let scalar = raw.query_pre_attn_scalar.unwrap_or(256.0);
        if !(scalar.is_finite() && scalar > 0.0) {
            let what = format!("query_pre_attn_scalar must be a positive number, found {scalar}");
            return Err(ConfigError::Invalid(what));
        }
        raw.rope_scaling.unwrap_or_default().theta(None, 1.0)?;
        let mut ropes = raw.rope_parameters.unwrap_or_default();
        let mut theta =
            |kind: &str, top_level, default| ropes.remove(kind).flatten().unwrap_or_default().theta(top_level, default);
        let activation = raw.hidden_activation.as_deref().unwrap_or("gelu_pytorch_tanh");
        Ok(Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            num_attention_heads: raw.num_attention_heads,
            num_key_value_heads: raw.num_key_value_heads,
            head_dim: raw.head_dim,
            intermediate_size: raw.intermediate_size,
            hidden_activation: Activation::parse("hidden_activation", activation)?,
            max_position_embeddings: raw.max_position_embeddings,
            rms_norm_eps: raw.rms_norm_eps.unwrap_or(1e-6),
            pad_token_id: raw.pad_token_id,
            query_pre_attn_scalar: scalar,
            is_global: is_global(raw.num_hidden_layers, raw.layer_types, raw.sliding_window_pattern.unwrap_or(6))?,
            // transformers halves a window that attends in both directions.
            window: raw.sliding_window.unwrap_or(4096) / 2,
            global_rope_theta: theta(FULL_ATTENTION, raw.rope_theta, 1_000_000.0)?,
            local_rope_theta: theta(SLIDING_ATTENTION, raw.rope_local_base_freq, 10_000.0)?,
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "Gemma 3",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.is_global.len(),
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
        let scaled = ops.scale(&embeddings, (self.hidden_size as f64).sqrt())?;
        let mut x = ops.dropout(&scaled)?;
        for (index, is_global) in self.is_global.iter().enumerate() {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, *is_global, &x)?;
        }
        ops.begin(Part::Head);
        ops.norm(&x, &self.norm("norm".into(), self.hidden_size))
    }
}

impl Gemma3 {
    fn norm(&self, stem: String, width: usize) -> Norm {
        Norm { stem, width, eps: self.rms_norm_eps, kind: NormKind::Rms { one_plus: true } }
    }

    /// `x += RMS(attention(RMS(x)))`, then `x += RMS(W₂ (act(G y) · U y))` with `y = RMS(x)`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, is_global: bool, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let (hidden, inner, size) = (self.hidden_size, self.intermediate_size, self.head_dim);
        let (heads, key_value_heads) = (self.num_attention_heads, self.num_key_value_heads);
        let (queries, keys) = (heads.saturating_mul(size), key_value_heads.saturating_mul(size));
        let linear = |part: &str, shape| Linear::new(name(part), shape, false);
        let norm = |part: &str| self.norm(name(part), hidden);
        let theta = if is_global { self.global_rope_theta } else { self.local_rope_theta };
        let projection = Projection::Separate([
            linear("self_attn.q_proj", [queries, hidden]),
            linear("self_attn.k_proj", [keys, hidden]),
            linear("self_attn.v_proj", [keys, hidden]),
        ]);
        let attention = Attention {
            key_value_heads,
            scale: 1.0 / self.query_pre_attn_scalar.sqrt(),
            mask: if is_global { Mask::Full } else { Mask::Window(self.window) },
            head_norms: Some(["self_attn.q_norm", "self_attn.k_norm"].map(|part| self.norm(name(part), size))),
            rotary: Some(Rotary { theta, scale: 1.0 }),
            ..Attention::new(projection, heads, size)
        };
        let normed = ops.norm(x, &norm("input_layernorm"))?;
        let context = ops.attention(&normed, &attention, None)?;
        let attended = ops.linear(&context, &linear("self_attn.o_proj", [hidden, queries]))?;
        let attended = ops.norm(&attended, &norm("post_attention_layernorm"))?;
        let x = ops.add(x, &attended)?;
        let normed = ops.norm(&x, &norm("pre_feedforward_layernorm"))?;
        let feed_forward = FeedForward {
            inner: Inner::Gated {
                gate: linear("mlp.gate_proj", [inner, hidden]),
                up: linear("mlp.up_proj", [inner, hidden]),
            },
            activation: self.hidden_activation,
            drops_inner: false,
            output: linear("mlp.down_proj", [hidden, inner]),
        };
        let result = ops.feed_forward(&normed, &feed_forward)?;
        let result = ops.norm(&result, &norm("post_feedforward_layernorm"))?;
        ops.add(&x, &result)
    }
}

/// For each layer, whether it attends to the whole text: by the list of types if there is one, else every n-th layer.
fn is_global(layers: usize, types: Option<Vec<String>>, every: usize) -> Result<Vec<bool>, ConfigError> {
    let Some(types) = types else {
        let is_nth = |layer: usize| (layer + 1).checked_rem(every).map(|rest| rest == 0);
        let is_global: Option<Vec<bool>> = (0..layers).map(is_nth).collect();
        return is_global.ok_or_else(|| ConfigError::Invalid("sliding_window_pattern is 0".into()));
    };
    are_full(layers, types)
}
