//! BERT and its relatives RoBERTa, XLM-RoBERTa, MPNet and DistilBERT: post-norm layers over learned positions.
//!
//! Source: the field names, defaults and module names in
//! `transformers/models/{bert,xlm_roberta,mpnet,distilbert}/{configuration,modeling}_*.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::activation::Activation;
use super::config_json::{ConfigError, OtherKeys, check_sizes, head_size, parse};
use super::relative_position::RELATIVE_BUCKETS;
use crate::parameters::{Parameter, Parameters};

/// A member of the BERT family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// BERT: positions count from 0.
    Bert,
    /// XLM-RoBERTa and RoBERTa: positions count from `pad_token_id + 1`.
    XlmRoberta,
    /// MPNet: positions as RoBERTa's, no token types, and one table of relative positions for all layers.
    MpNet,
    /// DistilBERT: BERT without token types, with its own names of tensors.
    DistilBert,
}

/// Configuration of a member of the BERT family.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    /// The member of the family.
    pub architecture: Architecture,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of elements of a hidden state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Number of attention heads, which divide `hidden_size` equally.
    pub num_attention_heads: usize,
    /// Number of elements between the two feed-forward matrices.
    pub intermediate_size: usize,
    /// Activation function between the two feed-forward matrices.
    pub hidden_act: Activation,
    /// Rows of the position embeddings.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings, only the first of which is used; 0 in architectures without token types.
    pub type_vocab_size: usize,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// Id of the padding token.
    pub pad_token_id: usize,
    /// Dropout probability of hidden states during training.
    pub hidden_dropout_prob: f64,
    /// Dropout probability of attention weights during training.
    pub attention_probs_dropout_prob: f64,
}

impl Architecture {
    /// The usual name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::XlmRoberta => "RoBERTa",
            Self::MpNet => "MPNet",
            Self::DistilBert => "DistilBERT",
        }
    }
}

impl BertConfig {
    /// Number of elements of an attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Row of the position embeddings that is reserved for padding, in the architectures that reserve one. Tokens with
    /// the id `pad_token_id` take that row, and the other tokens are numbered from the next one.
    pub fn position_padding(&self) -> Option<usize> {
        match self.architecture {
            Architecture::Bert | Architecture::DistilBert => None,
            Architecture::XlmRoberta | Architecture::MpNet => Some(self.pad_token_id),
        }
    }

    /// Row of the position embeddings for the first token.
    pub fn first_position(&self) -> usize {
        self.position_padding().map_or(0, |padding| padding.saturating_add(1))
    }

    /// Maximum number of tokens, given by the position embeddings.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Every tensor that the forward pass reads, in the order in which it reads them; a layer's query, key and value
    /// are adjacent.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let names = self.architecture.embedding_names();
        let mut parameters = Parameters::default();
        parameters.weight(names.word, &[self.vocab_size, hidden]);
        parameters.weight(names.position, &[self.max_position_embeddings, hidden]);
        if let Some(token_type) = names.token_type {
            parameters.weight(token_type, &[self.type_vocab_size, hidden]);
        }
        if let Some(bias) = names.relative_attention_bias {
            parameters.weight(bias, &[RELATIVE_BUCKETS, self.num_attention_heads]);
        }
        parameters.weight_and_bias(names.norm, &[hidden]);
        for layer in 0..self.num_hidden_layers {
            let names = self.architecture.layer_names(layer);
            for name in [&names.query, &names.key, &names.value, &names.attention_output] {
                parameters.weight_and_bias(name, &[hidden, hidden]);
            }
            parameters.weight_and_bias(&names.attention_norm, &[hidden]);
            parameters.weight_and_bias(&names.intermediate, &[inner, hidden]);
            parameters.weight_and_bias(&names.output, &[hidden, inner]);
            parameters.weight_and_bias(&names.output_norm, &[hidden]);
        }
        parameters.into_vec()
    }
}

/// Stems of the names of the tensors before the layers. A name is the stem and `.weight`; a linear layer or a layer
/// norm has `.bias`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingNames {
    /// `[vocab_size, hidden]`.
    pub word: &'static str,
    /// `[max_position_embeddings, hidden]`.
    pub position: &'static str,
    /// `[type_vocab_size, hidden]`, in the architectures with token types.
    pub token_type: Option<&'static str>,
    /// Layer norm over the sum of the embeddings.
    pub norm: &'static str,
    /// `[buckets, heads]`, added to the attention scores of every layer, see [`crate::relative_position_bucket`].
    pub relative_attention_bias: Option<&'static str>,
}

/// Stems of the names of a layer's tensors, like those of [`EmbeddingNames`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerNames {
    /// Linear, `[hidden, hidden]`.
    pub query: String,
    /// Linear, `[hidden, hidden]`.
    pub key: String,
    /// Linear, `[hidden, hidden]`.
    pub value: String,
    /// Linear, `[hidden, hidden]`.
    pub attention_output: String,
    /// Layer norm after the attention.
    pub attention_norm: String,
    /// Linear, `[intermediate, hidden]`.
    pub intermediate: String,
    /// Linear, `[hidden, intermediate]`.
    pub output: String,
    /// Layer norm at the end of the layer.
    pub output_norm: String,
}

impl Architecture {
    /// The names of the tensors before the layers.
    pub fn embedding_names(self) -> EmbeddingNames {
        EmbeddingNames {
            word: "embeddings.word_embeddings",
            position: "embeddings.position_embeddings",
            token_type: match self {
                Self::Bert | Self::XlmRoberta => Some("embeddings.token_type_embeddings"),
                Self::MpNet | Self::DistilBert => None,
            },
            norm: "embeddings.LayerNorm",
            relative_attention_bias: (self == Self::MpNet).then_some("encoder.relative_attention_bias"),
        }
    }

    /// The names of the tensors of a layer, counted from 0.
    pub fn layer_names(self, layer: usize) -> LayerNames {
        let (layers, [query, key, value, attention_output, attention_norm, intermediate, output, output_norm]) =
            match self {
                Self::Bert | Self::XlmRoberta => (
                    "encoder.layer",
                    [
                        "attention.self.query",
                        "attention.self.key",
                        "attention.self.value",
                        "attention.output.dense",
                        "attention.output.LayerNorm",
                        "intermediate.dense",
                        "output.dense",
                        "output.LayerNorm",
                    ],
                ),
                Self::MpNet => (
                    "encoder.layer",
                    [
                        "attention.attn.q",
                        "attention.attn.k",
                        "attention.attn.v",
                        "attention.attn.o",
                        "attention.LayerNorm",
                        "intermediate.dense",
                        "output.dense",
                        "output.LayerNorm",
                    ],
                ),
                Self::DistilBert => (
                    "transformer.layer",
                    [
                        "attention.q_lin",
                        "attention.k_lin",
                        "attention.v_lin",
                        "attention.out_lin",
                        "sa_layer_norm",
                        "ffn.lin1",
                        "ffn.lin2",
                        "output_layer_norm",
                    ],
                ),
            };
        let name = |part: &str| format!("{layers}.{layer}.{part}");
        LayerNames {
            query: name(query),
            key: name(key),
            value: name(value),
            attention_output: name(attention_output),
            attention_norm: name(attention_norm),
            intermediate: name(intermediate),
            output: name(output),
            output_norm: name(output_norm),
        }
    }
}

/// `config.json` of BERT, RoBERTa, XLM-RoBERTa and MPNet.
#[derive(Deserialize)]
struct RawBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default = "default_token_types")]
    type_vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    pad_token_id: Option<usize>,
    #[serde(default = "default_dropout")]
    hidden_dropout_prob: f64,
    #[serde(default = "default_dropout")]
    attention_probs_dropout_prob: f64,
    position_embedding_type: Option<String>,
    relative_attention_num_buckets: Option<usize>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `config.json` of DistilBERT.
#[derive(Deserialize)]
struct RawDistilBert {
    vocab_size: usize,
    dim: usize,
    n_layers: usize,
    n_heads: usize,
    hidden_dim: usize,
    activation: String,
    max_position_embeddings: usize,
    pad_token_id: Option<usize>,
    #[serde(default = "default_dropout")]
    dropout: f64,
    #[serde(default = "default_dropout")]
    attention_dropout: f64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Attention is bidirectional, and positions are absolute.
fn fixed() -> [(&'static str, Value); 3] {
    [
        ("is_causal", json!(false)),
        ("use_bidirectional_attention", json!(true)),
        ("position_embedding_type", json!("absolute")),
    ]
}

/// Dropout of other heads, and the initial values of the position embeddings.
const WITHOUT_EFFECT: [&str; 3] = ["qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds"];

fn default_token_types() -> usize {
    2
}
fn default_epsilon() -> f64 {
    1e-12
}
fn default_dropout() -> f64 {
    0.1
}

impl BertConfig {
    /// Reads the `config.json` of a `model_type` of the family.
    pub(super) fn from_json(model_type: &str, json: &Value) -> Result<Self, ConfigError> {
        let config = match model_type {
            "distilbert" => parse::<RawDistilBert>(json)?.into_config()?,
            "mpnet" => parse::<RawBert>(json)?.into_config(Architecture::MpNet)?,
            "bert" => parse::<RawBert>(json)?.into_config(Architecture::Bert)?,
            _ => parse::<RawBert>(json)?.into_config(Architecture::XlmRoberta)?,
        };
        check_sizes(config.hidden_size, config.num_hidden_layers, config.max_length())?;
        head_size(config.hidden_size, config.num_attention_heads)?;
        if config.architecture.embedding_names().token_type.is_some() && config.type_vocab_size == 0 {
            return Err(ConfigError::Unsupported("has no token types".into()));
        }
        Ok(config)
    }
}

impl RawBert {
    fn into_config(self, architecture: Architecture) -> Result<BertConfig, ConfigError> {
        if let Some(kind) = self.position_embedding_type.filter(|kind| kind != "absolute") {
            let what = format!("position_embedding_type \"{kind}\" is not supported (supported: absolute)");
            return Err(ConfigError::Unsupported(what));
        }
        OtherKeys { fixed: &fixed(), without_effect: &[] }.check(&self.rest)?;
        let is_mpnet = architecture == Architecture::MpNet;
        if let Some(buckets) = self.relative_attention_num_buckets.filter(|n| is_mpnet && *n != RELATIVE_BUCKETS) {
            let what =
                format!("relative_attention_num_buckets {buckets} is not supported (supported: {RELATIVE_BUCKETS})");
            return Err(ConfigError::Unsupported(what));
        }
        Ok(BertConfig {
            architecture,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act: Activation::parse("hidden_act", &self.hidden_act)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: if is_mpnet { 0 } else { self.type_vocab_size },
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: match architecture {
                // The reference implementation of MPNet ignores its configuration here.
                Architecture::MpNet => 1,
                Architecture::XlmRoberta => self.pad_token_id.unwrap_or(1),
                Architecture::Bert | Architecture::DistilBert => self.pad_token_id.unwrap_or(0),
            },
            hidden_dropout_prob: self.hidden_dropout_prob,
            attention_probs_dropout_prob: self.attention_probs_dropout_prob,
        })
    }
}

impl RawDistilBert {
    fn into_config(self) -> Result<BertConfig, ConfigError> {
        OtherKeys { fixed: &fixed(), without_effect: &WITHOUT_EFFECT }.check(&self.rest)?;
        Ok(BertConfig {
            architecture: Architecture::DistilBert,
            vocab_size: self.vocab_size,
            hidden_size: self.dim,
            num_hidden_layers: self.n_layers,
            num_attention_heads: self.n_heads,
            intermediate_size: self.hidden_dim,
            hidden_act: Activation::parse("activation", &self.activation)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: 0,
            layer_norm_eps: default_epsilon(),
            pad_token_id: self.pad_token_id.unwrap_or(0),
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.attention_dropout,
        })
    }
}
