//! `config.json` of BERT and its relatives, as each family writes it.
//!
//! Field names and defaults are those of `transformers/models/*/configuration_*.py`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json::{OtherKeys, activation, check_sizes, head_size, parse};
use super::{Architecture, BertConfig, RELATIVE_BUCKETS, Refusal};

/// BERT, RoBERTa, XLM-RoBERTa and MPNet.
#[derive(Deserialize)]
struct RawBert {
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    max_position_embeddings: usize,
    #[serde(default = "two")]
    type_vocab_size: usize,
    #[serde(default = "bert_eps")]
    layer_norm_eps: f64,
    pad_token_id: Option<usize>,
    #[serde(default = "tenth")]
    hidden_dropout_prob: f64,
    #[serde(default = "tenth")]
    attention_probs_dropout_prob: f64,
    position_embedding_type: Option<String>,
    relative_attention_num_buckets: Option<usize>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// DistilBERT.
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
    #[serde(default = "tenth")]
    dropout: f64,
    #[serde(default = "tenth")]
    attention_dropout: f64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Attention looks both ways, and nothing else is between the embeddings and the layers.
fn fixed() -> [(&'static str, Value); 3] {
    [
        ("is_causal", json!(false)),
        ("use_bidirectional_attention", json!(true)),
        ("position_embedding_type", json!("absolute")),
    ]
}

/// Dropout of other heads, and what the positions began as: they are stored, not computed.
const WITHOUT_EFFECT: [&str; 3] = ["qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds"];

fn two() -> usize {
    2
}
fn bert_eps() -> f64 {
    1e-12
}
fn tenth() -> f64 {
    0.1
}

impl BertConfig {
    /// `json` of one of the `model_type`s of BERT's relatives.
    pub(super) fn from_json(model_type: &str, json: &Value) -> Result<Self, Refusal> {
        let config = match model_type {
            "distilbert" => parse::<RawDistilBert>(json)?.into_config()?,
            "mpnet" => parse::<RawBert>(json)?.into_config(Architecture::MpNet)?,
            "bert" => parse::<RawBert>(json)?.into_config(Architecture::Bert)?,
            _ => parse::<RawBert>(json)?.into_config(Architecture::XlmRoberta)?,
        };
        check_sizes(config.hidden_size, config.num_hidden_layers, config.max_length())?;
        head_size(config.hidden_size, config.num_attention_heads)?;
        if config.architecture.embedding_names().token_type.is_some() && config.type_vocab_size == 0 {
            return Err(Refusal::Unsupported("has no token types".into()));
        }
        Ok(config)
    }
}

impl RawBert {
    fn into_config(self, architecture: Architecture) -> Result<BertConfig, Refusal> {
        if let Some(kind) = self.position_embedding_type.filter(|kind| kind != "absolute") {
            let what = format!("position_embedding_type \"{kind}\" is not supported (supported: absolute)");
            return Err(Refusal::Unsupported(what));
        }
        OtherKeys { fixed: &fixed(), without_effect: &[] }.check(&self.rest)?;
        let is_mpnet = architecture == Architecture::MpNet;
        if let Some(buckets) = self.relative_attention_num_buckets.filter(|n| is_mpnet && *n != RELATIVE_BUCKETS) {
            let what =
                format!("relative_attention_num_buckets {buckets} is not supported (supported: {RELATIVE_BUCKETS})");
            return Err(Refusal::Unsupported(what));
        }
        Ok(BertConfig {
            architecture,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act: activation("hidden_act", &self.hidden_act)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: if is_mpnet { 0 } else { self.type_vocab_size },
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: match architecture {
                // The reference's MPNet does not ask its configuration.
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
    fn into_config(self) -> Result<BertConfig, Refusal> {
        OtherKeys { fixed: &fixed(), without_effect: &WITHOUT_EFFECT }.check(&self.rest)?;
        Ok(BertConfig {
            architecture: Architecture::DistilBert,
            vocab_size: self.vocab_size,
            hidden_size: self.dim,
            num_hidden_layers: self.n_layers,
            num_attention_heads: self.n_heads,
            intermediate_size: self.hidden_dim,
            hidden_act: activation("activation", &self.activation)?,
            max_position_embeddings: self.max_position_embeddings,
            type_vocab_size: 0,
            layer_norm_eps: bert_eps(),
            pad_token_id: self.pad_token_id.unwrap_or(0),
            hidden_dropout_prob: self.dropout,
            attention_probs_dropout_prob: self.attention_dropout,
        })
    }
}
