//! NomicBERT: BERT's post-norm layers over rotary positions, with gated feed-forward parts and linear layers without
//! biases.
//!
//! Source: `transformers/models/nomic_bert/modeling_nomic_bert.py`. The names of tensors and fields are also those of
//! `modeling_hf_nomic_bert.py`, which the published models contained before transformers supported them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, head_size, parse};
use crate::encoder::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
};

/// A NomicBERT.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NomicBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    /// Rows of the token type embeddings, of which only the first is used.
    type_vocab_size: usize,
    layer_norm_eps: f64,
    pad_token_id: usize,
    rope_theta: f64,
    dropout: Dropout,
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

impl Family for NomicBert {
    const MODEL_TYPES: &[&str] = &["nomic_bert"];

    fn from_json(_: &str, json: &Value) -> Result<Self, ConfigError> {
        let mut json = json.clone();
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
            dropout: Dropout::default(),
        })
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: "NomicBERT",
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            pad_token_id: self.pad_token_id,
            max_length: self.max_position_embeddings,
            position_padding: None,
            has_token_types: true,
            int8: false,
            dropout: self.dropout,
        }
    }

    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        let table = |stem: &str, rows| Table { stem: stem.into(), rows, width: self.hidden_size };
        let embeddings = ops.embeddings(&Embeddings {
            words: table("embeddings.word_embeddings", self.vocab_size),
            word_padding: Some(self.pad_token_id),
            positions: None,
            token_types: Some(table("embeddings.token_type_embeddings", self.type_vocab_size)),
        })?;
        let normed = ops.norm(&embeddings, &self.norm("emb_ln".into()))?;
        let mut x = ops.dropout(&normed)?;
        for index in 0..self.num_hidden_layers {
            ops.begin(Part::Layer(index));
            x = self.layer(ops, index, &x)?;
        }
        ops.begin(Part::Head);
        Ok(x)
    }
}

impl NomicBert {
    fn norm(&self, stem: String) -> Norm {
        let kind = NormKind::Layer { bias: true };
        Norm { stem, width: self.hidden_size, eps: self.layer_norm_eps, kind }
    }

    /// `x = LN(x + attention(x))`, then `x = LN(x + W₂ (silu(G x) · U x))`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("encoder.layers.{index}.{part}");
        let (hidden, inner, heads) = (self.hidden_size, self.intermediate_size, self.num_attention_heads);
        let linear = |part: &str, shape| Linear::new(name(part), shape, false);
        let size = hidden / heads;
        let attention = Attention {
            projection: Projection::Stacked(linear("attn.Wqkv", [hidden.saturating_mul(3), hidden])),
            heads,
            key_value_heads: heads,
            size,
            scale: 1.0 / (size as f64).sqrt(),
            mask: Mask::Full,
            head_norms: None,
            rotary: Some(Rotary { theta: self.rope_theta, scale: 1.0 }),
        };
        let context = ops.attention(x, &attention, None)?;
        let attended = ops.linear(&context, &linear("attn.out_proj", [hidden, hidden]))?;
        let x = ops.add_norm(x, &attended, &self.norm(name("norm1")))?;
        let feed_forward = FeedForward {
            inner: Inner::Gated { gate: linear("mlp.fc12", [inner, hidden]), up: linear("mlp.fc11", [inner, hidden]) },
            activation: Activation::Silu,
            drops_inner: false,
            output: linear("mlp.fc2", [hidden, inner]),
        };
        let result = ops.feed_forward(&x, &feed_forward)?;
        ops.add_norm(&x, &result, &self.norm(name("norm2")))
    }
}
