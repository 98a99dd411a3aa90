//! `config.json`, as each family writes it.
//!
//! Field names and defaults are those of `transformers/models/*/configuration_*.py`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::relative::RELATIVE_BUCKETS;
use crate::{Activation, Architecture, EncoderConfig};

/// More layers than any encoder has: a damaged file must not make embtune list the tensors of billions.
const MAX_LAYERS: usize = 1000;

/// Why a configuration was refused.
pub(crate) enum Refusal {
    /// The file does not hold what its family writes.
    Content(String),
    /// It says something that embtune does not compute.
    Unsupported(String),
}

#[derive(Deserialize)]
struct Family {
    model_type: String,
}

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
    #[serde(default)]
    is_decoder: bool,
}

/// DistilBERT. `sinusoidal_pos_embds` says how the positions began, not how they are computed: they are stored.
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
}

fn two() -> usize {
    2
}
fn bert_eps() -> f64 {
    1e-12
}
fn tenth() -> f64 {
    0.1
}

impl EncoderConfig {
    /// Takes what embtune computes with, or says what it does not know.
    pub(crate) fn from_json(json: Value) -> Result<Self, Refusal> {
        let family: Family = parse(&json)?;
        let config = match family.model_type.as_str() {
            "bert" => parse::<RawBert>(&json)?.into_config(Architecture::Bert)?,
            "xlm-roberta" | "roberta" => parse::<RawBert>(&json)?.into_config(Architecture::XlmRoberta)?,
            "mpnet" => parse::<RawBert>(&json)?.into_config(Architecture::MpNet)?,
            "distilbert" => parse::<RawDistilBert>(&json)?.into_config()?,
            other => {
                return Err(Refusal::Unsupported(format!(
                    "model_type \"{other}\" is not supported (supported: bert, roberta, xlm-roberta, mpnet, distilbert)"
                )));
            }
        };
        config.check().map_err(Refusal::Unsupported)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let (hidden, heads, layers) = (self.hidden_size, self.num_attention_heads, self.num_hidden_layers);
        if heads == 0 || hidden == 0 || !hidden.is_multiple_of(heads) {
            return Err(format!("hidden_size {hidden} does not divide into {heads} attention heads"));
        }
        if layers > MAX_LAYERS {
            return Err(format!("{layers} layers are not supported (at most {MAX_LAYERS})"));
        }
        let has_token_types = self.architecture.embedding_names().token_type.is_some();
        if self.max_length() == 0 || (has_token_types && self.type_vocab_size == 0) {
            return Err("has no positions or no token types".into());
        }
        Ok(())
    }
}

impl RawBert {
    fn into_config(self, architecture: Architecture) -> Result<EncoderConfig, Refusal> {
        if let Some(kind) = self.position_embedding_type.filter(|kind| kind != "absolute") {
            let what = format!("position_embedding_type \"{kind}\" is not supported (supported: absolute)");
            return Err(Refusal::Unsupported(what));
        }
        if self.is_decoder {
            return Err(Refusal::Unsupported("is_decoder is not supported: only encoders are".into()));
        }
        let is_mpnet = architecture == Architecture::MpNet;
        if let Some(buckets) = self.relative_attention_num_buckets.filter(|n| is_mpnet && *n != RELATIVE_BUCKETS) {
            let what =
                format!("relative_attention_num_buckets {buckets} is not supported (supported: {RELATIVE_BUCKETS})");
            return Err(Refusal::Unsupported(what));
        }
        Ok(EncoderConfig {
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
    fn into_config(self) -> Result<EncoderConfig, Refusal> {
        Ok(EncoderConfig {
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

fn parse<T: DeserializeOwned>(json: &Value) -> Result<T, Refusal> {
    T::deserialize(json).map_err(|error| Refusal::Content(error.to_string()))
}

fn activation(key: &str, name: &str) -> Result<Activation, Refusal> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => {
            Err(Refusal::Unsupported(format!("{key} \"{other}\" is not supported (supported: gelu, gelu_new, relu)")))
        }
    }
}
