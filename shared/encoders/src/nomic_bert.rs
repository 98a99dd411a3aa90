//! NomicBERT: BERT's post-norm layers over rotary positions. In version 1.5, feed-forward parts are gated and linear
//! layers have no biases; in version 2, every second layer is a mixture of experts. jina-embeddings-v3 has the same
//! layers by other names.
//!
//! Source: `transformers/models/nomic_bert/modeling_nomic_bert.py`. The names of tensors and fields are also those of
//! `modeling_hf_nomic_bert.py`, which the published models contained before transformers supported them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::activation::Activation;
use crate::config_json::{ConfigError, OtherKeys, RawRope, check_rotary_head_size, head_size, parse};
use crate::family::{Dropout, EncoderConfig, Family};
use crate::ops::{
    Attention, Embeddings, Experts, FeedForward, Inner, Linear, Norm, NormKind, Ops, Part, Projection, Rotary, Table,
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
    /// What the tensors of the attention are called.
    attention_name: &'static str,
    /// Whether the attention's linear layers have biases.
    attention_bias: bool,
    feed_forward: Matrices,
    dropout: Dropout,
}

/// The matrices of the feed-forward parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Matrices {
    /// `W₂ (silu(G x) · U x)`, without biases.
    Gated,
    /// `W₂ act(W₁ x)`, with biases; in every n-th layer, counted from 1, a mixture of experts.
    Plain { activation: Activation, experts: Option<ExpertLayers> },
}

/// The layers that are mixtures of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExpertLayers {
    every: usize,
    count: usize,
    top: usize,
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
    activation_function: Option<String>,
    qkv_proj_bias: Option<bool>,
    moe_every_n_layers: Option<usize>,
    moe_top_k: Option<usize>,
    num_experts: Option<usize>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Keys of training, of other heads, and of the implementation in the older code. `auto_map` names the published models'
/// own code, whose architecture is the same.
#[rustfmt::skip]
const WITHOUT_EFFECT: [&str; 35] = [
    "add_pooling_layer", "attention_probs_dropout_prob", "attn_pdrop", "auto_map", "dense_seq_output", "embd_pdrop",
    "fused_bias_fc", "fused_dropout_add_ln", "hidden_dropout_prob", "last_layer_subset", "layer_norm_epsilon",
    "max_trained_positions", "moe_impl", "moe_resid_pdrop", "n_embd", "n_head", "n_inner", "n_layer",
    "pad_vocab_size_multiple", "pad_vocab_to_multiple_of", "parallel_block_tied_norm", "reorder_and_upcast_attn",
    "resid_pdrop", "rotary_emb_scale", "router_aux_loss_coef", "sequence_parallel", "summary_activation",
    "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj", "tp_size", "unpad_inputs",
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

/// `config.json` of jina-embeddings-v3 as transformers has it, without adapters for tasks.
#[derive(Deserialize)]
struct RawJina {
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
    rope_parameters: Option<RawRope>,
    hidden_dropout_prob: Option<f64>,
    attention_probs_dropout_prob: Option<f64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl RawJina {
    fn into_bert(self) -> Result<NomicBert, ConfigError> {
        let fixed = [("is_causal", json!(false)), ("use_bidirectional_attention", json!(true))];
        OtherKeys { fixed: &fixed, without_effect: &[] }.check(&self.rest)?;
        check_rotary_head_size(head_size(self.hidden_size, self.num_attention_heads)?)?;
        let activation = Activation::parse("hidden_act", self.hidden_act.as_deref().unwrap_or("gelu"))?;
        Ok(NomicBert {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: self.type_vocab_size.unwrap_or(1),
            layer_norm_eps: self.layer_norm_eps.unwrap_or(1e-5),
            pad_token_id: self.pad_token_id.unwrap_or(1),
            rope_theta: self.rope_parameters.unwrap_or_default().theta(None, 20_000.0)?,
            attention_name: "mixer",
            attention_bias: true,
            feed_forward: Matrices::Plain { activation, experts: None },
            dropout: Dropout {
                hidden: Some(("hidden_dropout_prob", self.hidden_dropout_prob.unwrap_or(0.1))),
                attention: Some(("attention_probs_dropout_prob", self.attention_probs_dropout_prob.unwrap_or(0.1))),
            },
        })
    }
}

impl Family for NomicBert {
    const MODEL_TYPES: &[&str] = &["nomic_bert", "jina_embeddings_v3"];

    fn from_json(model_type: &str, json: &Value) -> Result<Self, ConfigError> {
        match model_type {
            "nomic_bert" => Self::read_nomic(json.clone()),
            _ => parse::<RawJina>(json)?.into_bert(),
        }
    }

    fn config(&self) -> EncoderConfig {
        EncoderConfig {
            name: if self.attention_name == "attn" { "NomicBERT" } else { "jina-embeddings-v3" },
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            pad_token_id: self.pad_token_id,
            max_length: self.max_position_embeddings,
            position_padding: None,
            has_token_types: self.attention_name == "attn",
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
    fn read_nomic(mut json: Value) -> Result<Self, ConfigError> {
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
        let activation = raw.activation_function.unwrap_or_else(|| "swiglu".into());
        let is_gated = activation == "swiglu";
        let experts = match raw.moe_every_n_layers.unwrap_or(0) {
            0 => None,
            _ if is_gated => {
                let what = "moe_every_n_layers with the activation_function \"swiglu\" is not supported";
                return Err(ConfigError::Unsupported(what.into()));
            }
            every => Some(ExpertLayers { every, count: raw.num_experts.unwrap_or(8), top: raw.moe_top_k.unwrap_or(2) }),
        };
        if let Some(ExpertLayers { count, top, .. }) = experts
            && !(1..=count).contains(&top)
        {
            return Err(ConfigError::Invalid(format!("moe_top_k {top} of {count} experts")));
        }
        let feed_forward = if is_gated {
            Matrices::Gated
        } else {
            Matrices::Plain { activation: Activation::parse("activation_function", &activation)?, experts }
        };
        let fixed = [
            ("hidden_act", json!(if is_gated { "silu" } else { &activation })),
            ("moe_normalize_expert_weights", json!(false)),
            ("expert_choice_router", json!(false)),
            ("num_shared_experts", json!(0)),
            ("ffn_div", json!(1)),
            ("prenorm", json!(false)),
            ("parallel_block", json!(false)),
            ("causal", json!(false)),
            ("is_causal", json!(false)),
            ("use_bidirectional_attention", json!(true)),
            ("use_rms_norm", json!(false)),
            ("mlp_fc1_bias", json!(!is_gated)),
            ("mlp_fc2_bias", json!(!is_gated)),
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
            attention_name: "attn",
            attention_bias: raw.qkv_proj_bias.unwrap_or(false),
            feed_forward,
            dropout: Dropout::default(),
        })
    }

    fn norm(&self, stem: String) -> Norm {
        let kind = NormKind::Layer { bias: true };
        Norm { stem, width: self.hidden_size, eps: self.layer_norm_eps, kind }
    }

    /// `x = LN(x + attention(x))`, then `x = LN(x + feed_forward(x))`
    fn layer<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("encoder.layers.{index}.{part}");
        let of_attention = |part: &str| name(&format!("{}.{part}", self.attention_name));
        let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
        let linear = |part: &str, shape| Linear::new(of_attention(part), shape, self.attention_bias);
        let size = hidden / heads;
        let projection = Projection::Stacked(linear("Wqkv", [hidden.saturating_mul(3), hidden]));
        let attention = Attention {
            rotary: Some(Rotary { theta: self.rope_theta, scale: 1.0 }),
            ..Attention::new(projection, heads, size)
        };
        let context = ops.attention(x, &attention, None)?;
        let attended = ops.linear(&context, &linear("out_proj", [hidden, hidden]))?;
        let x = ops.add_norm(x, &attended, &self.norm(name("norm1")))?;
        let result = self.feed_forward(ops, index, &x)?;
        ops.add_norm(&x, &result, &self.norm(name("norm2")))
    }

    fn feed_forward<O: Ops>(&self, ops: &mut O, index: usize, x: &O::Value) -> Result<O::Value, O::Error> {
        let name = |part: &str| format!("encoder.layers.{index}.mlp.{part}");
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let (first, second) = ([inner, hidden], [hidden, inner]);
        let (inner, activation, output) = match &self.feed_forward {
            Matrices::Plain { activation, experts: Some(experts) } if index % experts.every == 1 => {
                return ops.experts(
                    x,
                    &Experts {
                        router: Linear::new(name("router.layer"), [experts.count, hidden], false),
                        top: experts.top,
                        inner,
                        first: name("experts.mlp.w1"),
                        second: name("experts.mlp.w2"),
                        bias: name("experts.bias"),
                        activation: *activation,
                    },
                );
            }
            Matrices::Plain { activation, .. } => (
                Inner::Plain(Linear::new(name("fc1"), first, true)),
                *activation,
                Linear::new(name("fc2"), second, true),
            ),
            Matrices::Gated => (
                Inner::Gated {
                    gate: Linear::new(name("fc12"), first, false),
                    up: Linear::new(name("fc11"), first, false),
                },
                Activation::Silu,
                Linear::new(name("fc2"), second, false),
            ),
        };
        ops.feed_forward(x, &FeedForward { inner, activation, drops_inner: false, output })
    }
}
