//! NomicBERT: BERT's post-norm layers over rotary positions, with gated feed-forward parts and linear layers without
//! biases.
//!
//! Source: `transformers/models/nomic_bert/modeling_nomic_bert.py`. The names of tensors and fields are also those of
//! `modeling_hf_nomic_bert.py`, which the published models contained before transformers supported them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, check_sizes, head_size, parse};
use crate::parameters::{Parameter, Parameters};

/// Configuration of a NomicBERT.
#[derive(Debug, Clone, PartialEq)]
pub struct NomicBertConfig {
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of elements of a hidden state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads, which divide `hidden_size` equally.
    pub num_attention_heads: usize,
    /// Number of elements between the feed-forward matrices.
    pub intermediate_size: usize,
    /// Maximum number of tokens of a text.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings, only the first of which is used.
    pub type_vocab_size: usize,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// Id of the padding token.
    pub pad_token_id: usize,
    /// Base of the frequencies of the rotary positions.
    pub rope_theta: f64,
}

/// Stems of the names of a layer's tensors. A name is the stem and `.weight`; a layer norm has `.bias`, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NomicBertLayerNames {
    /// Linear, `[3 · hidden, hidden]`: query, key and value, stacked.
    pub query_key_value: String,
    /// Linear, `[hidden, hidden]`.
    pub attention_output: String,
    /// Layer norm after the attention.
    pub attention_norm: String,
    /// Linear, `[intermediate, hidden]`.
    pub intermediate: String,
    /// Linear, `[intermediate, hidden]`: after SiLU, it is multiplied with the output of `intermediate`.
    pub gate: String,
    /// Linear, `[hidden, intermediate]`.
    pub output: String,
    /// Layer norm at the end of the layer.
    pub output_norm: String,
}

#[derive(Deserialize)]
struct RawNomicBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: Option<usize>,
    /// Number of positions for which the older code had frequencies.
    n_positions: Option<usize>,
    /// If set, the older code changes the frequencies in batches that are longer than `max_trained_positions`.
    rotary_scaling_factor: Option<f64>,
    max_trained_positions: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<usize>,
    rotary_emb_base: Option<f64>,
    rope_parameters: Option<RawRope>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of training, of other heads, of the implementation in the older code, and of experts, which
/// `moe_every_n_layers` 0 turns off. `auto_map` names the published models' own code, whose architecture is the same.
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 40] = [
    "attention_probs_dropout_prob", "attn_pdrop", "auto_map", "dense_seq_output", "embd_pdrop", "expert_choice_router",
    "ffn_div", "fused_bias_fc", "fused_dropout_add_ln", "hidden_dropout_prob", "layer_norm_epsilon",
    "last_layer_subset", "max_trained_positions", "moe_impl", "moe_normalize_expert_weights", "moe_resid_pdrop",
    "moe_top_k", "n_embd", "n_head", "n_inner", "n_layer", "num_experts", "num_shared_experts",
    "pad_vocab_size_multiple", "parallel_block_tied_norm", "pad_vocab_to_multiple_of", "reorder_and_upcast_attn",
    "resid_pdrop", "router_aux_loss_coef", "rotary_emb_scale", "summary_activation", "summary_first_dropout",
    "summary_proj_to_labels", "summary_type", "summary_use_proj", "sequence_parallel", "tp_size", "unpad_inputs",
    "use_flash_attn", "use_xentropy",
];

/// The older code's names of fields, which are GPT-2's.
const OLD_NAMES: [(&str, &str); 5] = [
    ("n_embd", "hidden_size"),
    ("n_layer", "num_hidden_layers"),
    ("n_head", "num_attention_heads"),
    ("n_inner", "intermediate_size"),
    ("layer_norm_epsilon", "layer_norm_eps"),
];

impl NomicBertConfig {
    /// Stem of the word embeddings `[vocab_size, hidden]`.
    pub const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings";
    /// Stem of the token type embeddings `[type_vocab_size, hidden]`.
    pub const TOKEN_TYPE_EMBEDDINGS: &str = "embeddings.token_type_embeddings";
    /// Stem of the layer norm over their sum.
    pub const EMBEDDINGS_NORM: &str = "emb_ln";

    pub(super) fn from_json(mut json: Value) -> Result<Self, ConfigError> {
        for (old, new) in OLD_NAMES {
            if json.get(new).is_none()
                && let Some(value) = json.get(old).cloned()
            {
                json[new] = value;
            }
        }
        let raw: RawNomicBert = parse(&json)?;
        let (hidden, heads) = (raw.hidden_size, raw.num_attention_heads);
        let positions = raw.max_position_embeddings.into_iter().chain(raw.n_positions).max().unwrap_or(2048);
        let max_length = match raw.rotary_scaling_factor {
            None => positions,
            Some(_) => raw.max_trained_positions.unwrap_or(2048),
        };
        check_sizes(hidden, raw.num_hidden_layers, max_length)?;
        let size = head_size(hidden, heads)?;
        check_rotary_head_size(size)?;
        let fixed = [
            ("moe_every_n_layers", json!(0)),
            ("activation_function", json!("swiglu")),
            ("hidden_act", json!("silu")),
            ("prenorm", json!(false)),
            ("parallel_block", json!(false)),
            ("causal", json!(false)),
            ("is_causal", json!(false)),
            ("use_bidirectional_attention", json!(true)),
            ("use_rms_norm", json!(false)),
            ("qkv_proj_bias", json!(false)),
            ("mlp_fc1_bias", json!(false)),
            ("mlp_fc2_bias", json!(false)),
            ("scale_attn_weights", json!(true)),
            ("scale_attn_by_inverse_layer_idx", json!(false)),
            ("rotary_emb_fraction", json!(1.0)),
            ("rotary_emb_interleaved", json!(false)),
            ("rotary_emb_scale_base", json!(null)),
            ("head_dim", json!(size)),
        ];
        OtherKeys { fixed: &fixed, without_effect: &WITHOUT_EFFECT }.check(&raw.rest)?;
        Ok(Self {
            vocab_size: raw.vocab_size,
            hidden_size: hidden,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: heads,
            intermediate_size: raw.intermediate_size,
            max_position_embeddings: max_length,
            type_vocab_size: raw.type_vocab_size.unwrap_or(2),
            layer_norm_eps: raw.layer_norm_eps.unwrap_or(1e-12),
            pad_token_id: raw.pad_token_id.unwrap_or(0),
            rope_theta: raw.rope_parameters.unwrap_or_default().theta(raw.rotary_emb_base, 1000.0)?,
        })
    }

    /// The names of the tensors of a layer, counted from 0.
    pub fn layer_names(&self, layer: usize) -> NomicBertLayerNames {
        let name = |part: &str| format!("encoder.layers.{layer}.{part}");
        NomicBertLayerNames {
            query_key_value: name("attn.Wqkv"),
            attention_output: name("attn.out_proj"),
            attention_norm: name("norm1"),
            intermediate: name("mlp.fc11"),
            gate: name("mlp.fc12"),
            output: name("mlp.fc2"),
            output_norm: name("norm2"),
        }
    }

    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let mut parameters = Parameters::default();
        parameters.weight(Self::WORD_EMBEDDINGS, &[self.vocab_size, hidden]);
        parameters.weight(Self::TOKEN_TYPE_EMBEDDINGS, &[self.type_vocab_size, hidden]);
        parameters.weight_and_bias(Self::EMBEDDINGS_NORM, &[hidden]);
        for layer in 0..self.num_hidden_layers {
            let names = self.layer_names(layer);
            parameters.weight(&names.query_key_value, &[hidden.saturating_mul(3), hidden]);
            parameters.weight(&names.attention_output, &[hidden, hidden]);
            parameters.weight_and_bias(&names.attention_norm, &[hidden]);
            parameters.weight(&names.intermediate, &[inner, hidden]);
            parameters.weight(&names.gate, &[inner, hidden]);
            parameters.weight(&names.output, &[hidden, inner]);
            parameters.weight_and_bias(&names.output_norm, &[hidden]);
        }
        parameters.into_vec()
    }
}
