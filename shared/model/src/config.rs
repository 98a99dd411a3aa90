//! The encoder: `config.json`.
//!
//! Field names are Hugging Face's, see `transformers/models/bert/configuration_bert.py` and
//! `transformers/models/xlm_roberta/configuration_xlm_roberta.py`.

use serde::Deserialize;

/// A family of encoders that share one forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// BERT: positions count from 0.
    Bert,
    /// XLM-RoBERTa and RoBERTa: positions count from `pad_token_id + 1`.
    XlmRoberta,
}

/// The activation between the two feed-forward matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · Φ(x)` with the exact error function.
    Gelu,
    /// The tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// Shape of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// Which family.
    pub architecture: Architecture,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Elements of a hidden state.
    pub hidden_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Attention heads; they share `hidden_size` equally.
    pub num_attention_heads: usize,
    /// Elements between the two feed-forward matrices.
    pub intermediate_size: usize,
    /// Between the two feed-forward matrices.
    pub hidden_act: Activation,
    /// Rows of the position embeddings.
    pub max_position_embeddings: usize,
    /// Rows of the token type embeddings; embtune uses row 0.
    pub type_vocab_size: usize,
    /// Added to the variance in layer norms.
    pub layer_norm_eps: f64,
    /// The padding token.
    pub pad_token_id: usize,
    /// Dropout on hidden states while training.
    pub hidden_dropout_prob: f64,
    /// Dropout on attention probabilities while training.
    pub attention_probs_dropout_prob: f64,
}

/// A tensor of the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Hugging Face name without a prefix.
    pub name: String,
    /// Sizes, outermost first; a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
}

#[derive(Deserialize)]
pub(crate) struct RawConfig {
    model_type: String,
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
    #[serde(default)]
    is_decoder: bool,
}

// What BertConfig takes when the file does not say.
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
    pub(crate) fn from_raw(raw: RawConfig) -> Result<Self, String> {
        let architecture = match raw.model_type.as_str() {
            "bert" => Architecture::Bert,
            "xlm-roberta" | "roberta" => Architecture::XlmRoberta,
            other => {
                return Err(format!("model_type \"{other}\" is not supported (supported: bert, roberta, xlm-roberta)"));
            }
        };
        let hidden_act = match raw.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(format!("hidden_act \"{other}\" is not supported (supported: gelu, gelu_new, relu)")),
        };
        if let Some(kind) = raw.position_embedding_type.filter(|kind| kind != "absolute") {
            return Err(format!("position_embedding_type \"{kind}\" is not supported (supported: absolute)"));
        }
        if raw.is_decoder {
            return Err("is_decoder is not supported: only encoders are".into());
        }
        if raw.num_attention_heads == 0 || !raw.hidden_size.is_multiple_of(raw.num_attention_heads) {
            let (hidden, heads) = (raw.hidden_size, raw.num_attention_heads);
            return Err(format!("hidden_size {hidden} does not divide into {heads} attention heads"));
        }
        let pad_token_id = raw.pad_token_id.unwrap_or(usize::from(architecture == Architecture::XlmRoberta));
        let config = Self {
            architecture,
            vocab_size: raw.vocab_size,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            intermediate_size: raw.intermediate_size,
            hidden_act,
            max_position_embeddings: raw.max_position_embeddings,
            type_vocab_size: raw.type_vocab_size,
            layer_norm_eps: raw.layer_norm_eps,
            pad_token_id,
            hidden_dropout_prob: raw.hidden_dropout_prob,
            attention_probs_dropout_prob: raw.attention_probs_dropout_prob,
        };
        if config.max_length() == 0 || config.type_vocab_size == 0 {
            return Err("has no positions or no token types".into());
        }
        Ok(config)
    }

    /// Elements of an attention head.
    pub fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Position of the first token: RoBERTa's families begin behind the padding token's row.
    pub fn first_position(&self) -> usize {
        match self.architecture {
            Architecture::Bert => 0,
            Architecture::XlmRoberta => self.pad_token_id + 1,
        }
    }

    /// Most tokens that the position embeddings allow.
    pub fn max_length(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// Every tensor that the forward pass reads, in the order in which it does.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (hidden, inner) = (self.hidden_size, self.intermediate_size);
        let mut parameters = Vec::new();
        let mut add = |name: String, shape: &[usize]| parameters.push(Parameter { name, shape: shape.to_vec() });
        add("embeddings.word_embeddings.weight".into(), &[self.vocab_size, hidden]);
        add("embeddings.position_embeddings.weight".into(), &[self.max_position_embeddings, hidden]);
        add("embeddings.token_type_embeddings.weight".into(), &[self.type_vocab_size, hidden]);
        let mut pair = |name: String, weight: &[usize]| {
            add(format!("{name}.weight"), weight);
            add(format!("{name}.bias"), &weight[..1]);
        };
        pair("embeddings.LayerNorm".into(), &[hidden]);
        for layer in 0..self.num_hidden_layers {
            let layer = format!("encoder.layer.{layer}");
            for part in ["query", "key", "value"] {
                pair(format!("{layer}.attention.self.{part}"), &[hidden, hidden]);
            }
            pair(format!("{layer}.attention.output.dense"), &[hidden, hidden]);
            pair(format!("{layer}.attention.output.LayerNorm"), &[hidden]);
            pair(format!("{layer}.intermediate.dense"), &[inner, hidden]);
            pair(format!("{layer}.output.dense"), &[hidden, inner]);
            pair(format!("{layer}.output.LayerNorm"), &[hidden]);
        }
        parameters
    }
}
