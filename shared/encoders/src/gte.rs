//! GTE, also called "new": BERT's post-norm layers over rotary positions, with gated feed-forward parts. It is the base
//! of gte-base/large-en-v1.5, gte-multilingual-base and snowflake-arctic-embed-m-v2.0.
//!
//! Source: `transformers/models/gte/{configuration,modeling}_gte.py`. For `rope_scaling` of the type `ntk`, which
//! transformers does not know, the formula of the published models' own code (`Alibaba-NLP/new-impl`), as
//! text-embeddings-inference computes it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, head_size, parse};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
};

/// A GTE.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gte {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Activation,
    max_position_embeddings: usize,
    /// Rows of the token type embeddings, of which only the first is used; 0 if there are none.
    type_vocab_size: usize,
    layer_norm_eps: f64,
    pad_token_id: usize,
    rotary: Rotary,
    dropout: Dropout,
}

#[derive(Deserialize)]
struct RawGte {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: Option<String>,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    rope_theta: Option<f64>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    hidden_dropout_prob: Option<f64>,
    attention_probs_dropout_prob: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of the implementation, of training, and of the published models' own code, whose architecture is the same.
const WITHOUT_EFFECT: [&str; 3] = ["auto_map", "unpad_inputs", "use_memory_efficient_attention"];

impl Family for Gte {
    const MODEL_TYPES: &[&str] = &["gte", "new"];

    fn from_json(model_type: &str, json: &Value) -> Result<Self, ConfigError> {
        let raw: RawGte = parse(json)?;
        let fixed = [
            ("layer_norm_type", json!("layer_norm")),
            ("position_embedding_type", json!("rope")),
            ("pack_qkv", json!(true)),
            ("logn_attention_scale", json!(false)),
            ("logn_attention_clip1", json!(false)),
            ("is_causal", json!(false)),
            ("use_bidirectional_attention", json!(true)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        let size = head_size(raw.hidden_size, raw.num_attention_heads)?;
        check_rotary_head_size(size)?;
        let rope = raw.rope_parameters.or(raw.rope_scaling).unwrap_or_default();
        let default_theta = if model_type == "gte" { 160_000.0 } else { 10_000.0 };
        Ok(Self {
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            hidden_act: Activation::parse("hidden_act", raw.hidden_act.as_deref().unwrap_or("gelu"))?,
            max_position_embeddings: raw.max_position_embeddings,
            type_vocab_size: raw.type_vocab_size.unwrap_or(1),
            layer_norm_eps: raw.layer_norm_eps.unwrap_or(1e-12),
            pad_token_id: raw.pad_token_id.unwrap_or(if model_type == "gte" { 1 } else { 0 }),
            rotary: rope.with_ntk(raw.rope_theta, default_theta, size)?,
            dropout: Dropout {
                hidden: Some(("hidden_dropout_prob", raw.hidden_dropout_prob.unwrap_or(0.1))),
                attention: Some(("attention_probs_dropout_prob", raw.attention_probs_dropout_prob.unwrap_or(0.0))),
            },
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "GTE",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            pad_token_id: self.pad_token_id,
            max_length: self.max_position_embeddings,
            position_padding: None,
            has_token_types: false,
            int8: false,
            dropout: self.dropout,
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let table = |stem: &str, rows| Table { stem: stem.into(), rows, width: self.hidden_size };
        let types = table("embeddings.token_type_embeddings", self.type_vocab_size);
        let embeddings = ops.embeddings(&Embeddings {
            words: table("embeddings.word_embeddings", self.vocab_size),
            word_padding: Some(self.pad_token_id),
            positions: None,
            token_types: (self.type_vocab_size > 0).then_some(types),
        })?;
        let normed = ops.norm(&embeddings, &self.norm("embeddings.LayerNorm".into()))?;
        let mut x = ops.dropout(&normed)?;
        for index in 0..self.num_hidden_layers {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, &x)?;
        }
        ops.begin(Part::Head);
        Ok(x)
    }
}

impl Gte {
    fn norm(&self, stem: String) -> Norm {
        let kind = NormKind::Layer { bias: true };
        Norm { stem, width: self.hidden_size, eps: self.layer_norm_eps, kind }
    }

    /// `x = LN(x + attention(x))`, then `x = LN(x + W₂ (act(G x) · U x))`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let (hidden, inner, heads) = (self.hidden_size, self.intermediate_size, self.num_attention_heads);
        let linear = |part: &str, shape, bias| Linear::new(name(part), shape, bias);
        let size = hidden / heads;
        let projection = Projection::Stacked(linear("attention.qkv_proj", [hidden.saturating_mul(3), hidden], true));
        let attention = Attention { rotary: Some(self.rotary), ..Attention::new(projection, heads, size) };
        let context = ops.attention(x, &attention, None)?;
        let attended = ops.linear(&context, &linear("attention.o_proj", [hidden, hidden], true))?;
        let x = ops.add_norm(x, &attended, &self.norm(name("attn_ln")))?;
        let feed_forward = FeedForward {
            inner: Inner::Stacked {
                linear: linear("mlp.up_gate_proj", [inner.saturating_mul(2), hidden], false),
                gate_first: false,
            },
            activation: self.hidden_act,
            drops_inner: true,
            output: linear("mlp.down_proj", [hidden, inner], true),
        };
        let result = ops.feed_forward(&x, &feed_forward)?;
        ops.add_norm(&x, &result, &self.norm(name("mlp_ln")))
    }
}
