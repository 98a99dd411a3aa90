//! ModernBERT: pre-norm layers over rotary positions; most layers attend to a window only.
//!
//! Source: `transformers/models/modernbert/{configuration,modeling}_modernbert.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{
    ConfigError, FULL_ATTENTION, OtherKeys, RawRope, SLIDING_ATTENTION, are_full, check_rotary_head_size, check_sizes,
    head_size, parse,
};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
};

/// A ModernBERT, whose linear layers and norms have no biases.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModernBert {
    vocab_size: usize,
    hidden_size: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_activation: Activation,
    max_position_embeddings: usize,
    norm_eps: f64,
    pad_token_id: usize,
    /// For each layer, whether it attends to the whole text rather than to a window.
    is_global: Vec<bool>,
    /// Number of tokens that a window reaches on either side of a token.
    window: usize,
    global_rope_theta: f64,
    local_rope_theta: f64,
    dropout: Dropout,
}

#[derive(Deserialize)]
struct RawModernBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_activation: Option<String>,
    max_position_embeddings: usize,
    norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    local_attention: Option<usize>,
    global_attn_every_n_layers: Option<usize>,
    /// Written by transformers 5; takes precedence over `global_attn_every_n_layers`.
    layer_types: Option<Vec<String>>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    /// Written by transformers 5, by the type of layer.
    rope_parameters: Option<BTreeMap<String, Option<RawRope>>>,
    rope_scaling: Option<RawRope>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of other heads, of training, of the implementation of attention, and keys that this family writes but never
/// reads.
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 18] = [
    "attention_dropout", "classifier_activation", "classifier_bias", "classifier_pooling", "compile", "decoder_bias",
    "deterministic_flash_attn", "embedding_dropout", "initializer_cutoff_factor", "layer_norm_eps", "mlp_dropout",
    "position_embedding_type", "reference_compile", "repad_logits_with_grad", "sparse_pred_ignore_index",
    "sparse_prediction", "type_vocab_size", "unpad_inputs",
];

impl Family for ModernBert {
    const MODEL_TYPES: &[&str] = &["modernbert"];

    fn from_json(_: &str, json: &Value) -> Result<Self, ConfigError> {
        let raw: RawModernBert = parse(json)?;
        let fixed = [
            ("norm_bias", json!(false)),
            ("attention_bias", json!(false)),
            ("mlp_bias", json!(false)),
            ("sliding_window", json!(raw.local_attention.unwrap_or(128) / 2)),
            ("is_causal", json!(false)),
            ("use_bidirectional_attention", json!(true)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        let (hidden, heads) = (raw.hidden_size, raw.num_attention_heads);
        check_sizes(hidden, raw.num_hidden_layers, raw.max_position_embeddings)?;
        check_rotary_head_size(head_size(hidden, heads)?)?;
        raw.rope_scaling.unwrap_or_default().theta(None, 1.0)?;
        let mut ropes = raw.rope_parameters.unwrap_or_default();
        let mut theta =
            |kind: &str, top_level, default| ropes.remove(kind).flatten().unwrap_or_default().theta(top_level, default);
        Ok(Self {
            vocab_size: raw.vocab_size,
            hidden_size: hidden,
            num_attention_heads: heads,
            intermediate_size: raw.intermediate_size,
            hidden_activation: Activation::parse(
                "hidden_activation",
                raw.hidden_activation.as_deref().unwrap_or("gelu"),
            )?,
            max_position_embeddings: raw.max_position_embeddings,
            norm_eps: raw.norm_eps.unwrap_or(1e-5),
            pad_token_id: raw.pad_token_id.unwrap_or(50283),
            is_global: is_global(raw.num_hidden_layers, raw.layer_types, raw.global_attn_every_n_layers.unwrap_or(3))?,
            window: raw.local_attention.unwrap_or(128) / 2,
            global_rope_theta: theta(FULL_ATTENTION, raw.global_rope_theta, 160_000.0)?,
            local_rope_theta: theta(SLIDING_ATTENTION, raw.local_rope_theta, 10_000.0)?,
            dropout: Dropout::default(),
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "ModernBERT",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.is_global.len(),
            pad_token_id: self.pad_token_id,
            max_length: self.max_position_embeddings,
            position_padding: None,
            has_token_types: false,
            int8: false,
            dropout: self.dropout,
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let words = Table { stem: "embeddings.tok_embeddings".into(), rows: self.vocab_size, width: self.hidden_size };
        let embeddings = ops.embeddings(&Embeddings::of_words(words, Some(self.pad_token_id)))?;
        let normed = ops.norm(&embeddings, &self.norm("embeddings.norm".into()))?;
        let mut x = ops.dropout(&normed)?;
        for (index, is_global) in self.is_global.iter().enumerate() {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, *is_global, &x)?;
        }
        ops.begin(Part::Head);
        ops.norm(&x, &self.norm("final_norm".into()))
    }
}

impl ModernBert {
    fn norm(&self, stem: String) -> Norm {
        Norm { stem, width: self.hidden_size, eps: self.norm_eps, kind: NormKind::Layer { bias: false } }
    }

    /// `x += attention(LN(x))`, then `x += W₂ (act(G y) · U y)` with `y = LN(x)`. The first layer has no norm before
    /// its attention, because the embeddings end with one.
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, is_global: bool, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let (hidden, inner, heads) = (self.hidden_size, self.intermediate_size, self.num_attention_heads);
        let linear = |part: &str, shape| Linear::new(name(part), shape, false);
        let normed = match index {
            0 => None,
            _ => Some(ops.norm(x, &self.norm(name("attn_norm")))?),
        };
        let size = hidden / heads;
        let theta = if is_global { self.global_rope_theta } else { self.local_rope_theta };
        let projection = Projection::Stacked(linear("attn.Wqkv", [hidden.saturating_mul(3), hidden]));
        let attention = Attention {
            mask: if is_global { Mask::Full } else { Mask::Window(self.window) },
            rotary: Some(Rotary { theta, scale: 1.0 }),
            ..Attention::new(projection, heads, size)
        };
        let context = ops.attention(normed.as_ref().unwrap_or(x), &attention, None)?;
        let attended = ops.linear(&context, &linear("attn.Wo", [hidden, hidden]))?;
        let x = ops.add(x, &attended)?;
        let normed = ops.norm(&x, &self.norm(name("mlp_norm")))?;
        let feed_forward = FeedForward {
            inner: Inner::Stacked { linear: linear("mlp.Wi", [inner.saturating_mul(2), hidden]), gate_first: true },
            activation: self.hidden_activation,
            drops_inner: false,
            output: linear("mlp.Wo", [hidden, inner]),
        };
        let result = ops.feed_forward(&normed, &feed_forward)?;
        ops.add(&x, &result)
    }
}

/// For each layer, whether it attends to the whole text: by the list of types if there is one, else every n-th layer
/// from the first on.
fn is_global(layers: usize, types: Option<Vec<String>>, every: usize) -> Result<Vec<bool>, ConfigError> {
    let Some(types) = types else {
        let is_nth = |layer: usize| layer.checked_rem(every).map(|rest| rest == 0);
        let is_global: Option<Vec<bool>> = (0..layers).map(is_nth).collect();
        return is_global.ok_or_else(|| ConfigError::Invalid("global_attn_every_n_layers is 0".into()));
    };
    are_full(layers, types)
}
