//! ModernBERT: pre-norm layers over rotary positions; most layers attend to a window only.
//!
//! Source: `transformers/models/modernbert/{configuration,modeling}_modernbert.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::activation::Activation;
use super::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, check_sizes, head_size, parse};
use crate::parameters::{Parameter, Parameters};

/// Configuration of a ModernBERT, whose linear layers and norms have no biases.
#[derive(Debug, Clone, PartialEq)]
pub struct ModernBertConfig {
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of elements of a hidden state.
    pub hidden_size: usize,
    /// Number of attention heads, which divide `hidden_size` equally.
    pub num_attention_heads: usize,
    /// Number of elements between the feed-forward matrices. The first matrix outputs twice as many: the values that
    /// are activated, then their gates.
    pub intermediate_size: usize,
    /// Activation function of the first half of the first feed-forward matrix's output.
    pub hidden_activation: Activation,
    /// Maximum number of tokens of a text.
    pub max_position_embeddings: usize,
    /// Added to the variance in layer norms.
    pub norm_eps: f64,
    /// Id of the padding token.
    pub pad_token_id: usize,
    /// For each layer, whether it attends to the whole text rather than to a window.
    pub is_global: Vec<bool>,
    /// Number of tokens that a window reaches on either side of a token.
    pub window: usize,
    /// Base of the rotary frequencies in layers that attend to the whole text.
    pub global_rope_theta: f64,
    /// Base of the rotary frequencies in layers with a window.
    pub local_rope_theta: f64,
}

/// Stems of the names of a layer's tensors; a name is the stem and `.weight`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModernBertLayerNames {
    /// Layer norm before the attention; the first layer has none.
    pub attention_norm: Option<String>,
    /// Linear, `[3 · hidden, hidden]`: query, key and value, stacked.
    pub query_key_value: String,
    /// Linear, `[hidden, hidden]`.
    pub attention_output: String,
    /// Layer norm before the feed-forward part.
    pub feed_forward_norm: String,
    /// Linear, `[2 · intermediate, hidden]`: the values that are activated, then their gates.
    pub intermediate: String,
    /// Linear, `[hidden, intermediate]`.
    pub output: String,
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

const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

impl ModernBertConfig {
    /// Stem of the word embeddings `[vocab_size, hidden]`.
    pub const WORD_EMBEDDINGS: &str = "embeddings.tok_embeddings";
    /// Stem of the layer norm over them.
    pub const EMBEDDINGS_NORM: &str = "embeddings.norm";
    /// Stem of the layer norm over the last layer's result.
    pub const FINAL_NORM: &str = "final_norm";

    pub(super) fn from_json(json: &Value) -> Result<Self, ConfigError> {
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
            global_rope_theta: theta(GLOBAL, raw.global_rope_theta, 160_000.0)?,
            local_rope_theta: theta(LOCAL, raw.local_rope_theta, 10_000.0)?,
        })
    }

    /// The names of the tensors of a layer, counted from 0.
    pub fn layer_names(&self, layer: usize) -> ModernBertLayerNames {
        let name = |part: &str| format!("layers.{layer}.{part}");
        ModernBertLayerNames {
            attention_norm: (layer > 0).then(|| name("attn_norm")),
            query_key_value: name("attn.Wqkv"),
            attention_output: name("attn.Wo"),
            feed_forward_norm: name("mlp_norm"),
            intermediate: name("mlp.Wi"),
            output: name("mlp.Wo"),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let mut parameters = Parameters::default();
        parameters.weight(Self::WORD_EMBEDDINGS, &[self.vocab_size, hidden]);
        parameters.weight(Self::EMBEDDINGS_NORM, &[hidden]);
        for layer in 0..self.is_global.len() {
            let names = self.layer_names(layer);
            if let Some(norm) = &names.attention_norm {
                parameters.weight(norm, &[hidden]);
            }
            parameters.weight(&names.query_key_value, &[hidden.saturating_mul(3), hidden]);
            parameters.weight(&names.attention_output, &[hidden, hidden]);
            parameters.weight(&names.feed_forward_norm, &[hidden]);
            parameters.weight(&names.intermediate, &[inner.saturating_mul(2), hidden]);
            parameters.weight(&names.output, &[hidden, inner]);
        }
        parameters.weight(Self::FINAL_NORM, &[hidden]);
        parameters.into_vec()
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
    if types.len() != layers {
        return Err(ConfigError::Invalid(format!("layer_types has {} entries for {layers} layers", types.len())));
    }
    let kind = |kind: String| match kind.as_str() {
        GLOBAL => Ok(true),
        LOCAL => Ok(false),
        _ => {
            let what = format!("layer type \"{kind}\" is not supported (supported: {GLOBAL}, {LOCAL})");
            Err(ConfigError::Unsupported(what))
        }
    };
    types.into_iter().map(kind).collect()
}
