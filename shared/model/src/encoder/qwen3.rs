//! Qwen3, the language model that Qwen3-Embedding is made from: causal attention with fewer heads of keys and values
//! than of queries, rotary positions, and RMS norms, also over each query and key.
//!
//! Source: `transformers/models/qwen3/{configuration,modeling}_qwen3.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, check_sizes, parse};
use crate::parameters::{Parameter, Parameters};

/// Configuration of a Qwen3, which has no biases.
#[derive(Debug, Clone, PartialEq)]
pub struct Qwen3Config {
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of elements of a hidden state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of heads of keys and values; each is shared by a group of adjacent query heads.
    pub num_key_value_heads: usize,
    /// Number of elements of a head, independent of `hidden_size`.
    pub head_dim: usize,
    /// Number of elements between the feed-forward matrices.
    pub intermediate_size: usize,
    /// Maximum number of tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to the mean square in RMS norms.
    pub rms_norm_eps: f64,
    /// Id of the padding token.
    pub pad_token_id: usize,
    /// Base of the frequencies of the rotary positions.
    pub rope_theta: f64,
}

/// Stems of the names of a layer's tensors; a name is the stem and `.weight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qwen3LayerNames {
    /// RMS norm before the attention.
    pub attention_norm: String,
    /// Linear, `[heads · head, hidden]`.
    pub query: String,
    /// Linear, `[key value heads · head, hidden]`.
    pub key: String,
    /// Linear, `[key value heads · head, hidden]`.
    pub value: String,
    /// RMS norm over each head of a query, `[head]`.
    pub query_norm: String,
    /// RMS norm over each head of a key, `[head]`.
    pub key_norm: String,
    /// Linear, `[hidden, heads · head]`.
    pub attention_output: String,
    /// RMS norm before the feed-forward part.
    pub feed_forward_norm: String,
    /// Linear, `[intermediate, hidden]`: after SiLU, it is multiplied with the output of `intermediate`.
    pub gate: String,
    /// Linear, `[intermediate, hidden]`.
    pub intermediate: String,
    /// Linear, `[hidden, intermediate]`.
    pub output: String,
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
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of training, and of sliding windows, which `use_sliding_window` false turns off.
const WITHOUT_EFFECT: [&str; 4] = ["attention_dropout", "max_window_layers", "sliding_window", "use_mrope"];

impl Qwen3Config {
    /// Stem of the word embeddings `[vocab_size, hidden]`.
    pub const WORD_EMBEDDINGS: &str = "embed_tokens";
    /// Stem of the RMS norm over the last layer's result.
    pub const FINAL_NORM: &str = "norm";

    pub(super) fn from_json(json: &Value) -> Result<Self, ConfigError> {
        let mut raw: RawQwen3 = parse(json)?;
        let fixed = [
            ("hidden_act", json!("silu")),
            ("attention_bias", json!(false)),
            ("mlp_bias", json!(false)),
            ("use_sliding_window", json!(false)),
            ("is_causal", json!(true)),
            ("use_bidirectional_attention", json!(false)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        let heads = raw.num_attention_heads;
        let key_value_heads = raw.num_key_value_heads.unwrap_or(heads);
        let head_dim = raw.head_dim.unwrap_or(128);
        check_sizes(raw.hidden_size, raw.num_hidden_layers, raw.max_position_embeddings)?;
        check_rotary_head_size(head_dim)?;
        if heads == 0 || heads.checked_rem(key_value_heads) != Some(0) {
            let what = format!("{heads} attention heads do not divide into {key_value_heads} of keys and values");
            return Err(ConfigError::Unsupported(what));
        }
        if let Some(kind) = raw.layer_types.iter().find(|kind| *kind != "full_attention") {
            let what = format!("layer type \"{kind}\" is not supported (supported: full_attention)");
            return Err(ConfigError::Unsupported(what));
        }
        if raw.rope_parameters.is_some() {
            raw.rope_scaling.take().unwrap_or_default().theta(None, 1.0)?;
        }
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
            pad_token_id: raw.pad_token_id.unwrap_or(0),
            rope_theta: rope.theta(raw.rope_theta, 10_000.0)?,
        })
    }

    /// The names of the tensors of a layer, counted from 0.
    pub fn layer_names(&self, layer: usize) -> Qwen3LayerNames {
        let name = |part: &str| format!("layers.{layer}.{part}");
        Qwen3LayerNames {
            attention_norm: name("input_layernorm"),
            query: name("self_attn.q_proj"),
            key: name("self_attn.k_proj"),
            value: name("self_attn.v_proj"),
            query_norm: name("self_attn.q_norm"),
            key_norm: name("self_attn.k_norm"),
            attention_output: name("self_attn.o_proj"),
            feed_forward_norm: name("post_attention_layernorm"),
            gate: name("mlp.gate_proj"),
            intermediate: name("mlp.up_proj"),
            output: name("mlp.down_proj"),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner, head) = (self.hidden_size, self.intermediate_size, self.head_dim);
        let width = |heads: usize| heads.saturating_mul(head);
        let (queries, keys) = (width(self.num_attention_heads), width(self.num_key_value_heads));
        let mut parameters = Parameters::default();
        parameters.weight(Self::WORD_EMBEDDINGS, &[self.vocab_size, hidden]);
        for layer in 0..self.num_hidden_layers {
            let names = self.layer_names(layer);
            parameters.weight(&names.attention_norm, &[hidden]);
            parameters.weight(&names.query, &[queries, hidden]);
            parameters.weight(&names.key, &[keys, hidden]);
            parameters.weight(&names.value, &[keys, hidden]);
            parameters.weight(&names.query_norm, &[head]);
            parameters.weight(&names.key_norm, &[head]);
            parameters.weight(&names.attention_output, &[hidden, queries]);
            parameters.weight(&names.feed_forward_norm, &[hidden]);
            parameters.weight(&names.gate, &[inner, hidden]);
            parameters.weight(&names.intermediate, &[inner, hidden]);
            parameters.weight(&names.output, &[hidden, inner]);
        }
        parameters.weight(Self::FINAL_NORM, &[hidden]);
        parameters.into_vec()
    }
}
