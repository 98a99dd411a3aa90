//! What all families have in common.

use serde_json::Value;

use crate::config_json::ConfigError;
use crate::ops::Ops;

/// What the programs need to know of an encoder, whatever its family.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderConfig {
    /// The architecture's usual name.
    pub name: &'static str,
    /// Rows of the word embeddings.
    pub vocab_size: usize,
    /// Number of elements of a hidden state.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Id of the token that short rows are padded with.
    pub pad_token_id: usize,
    /// Maximum number of tokens of a text.
    pub max_length: usize,
    /// Row of the position embeddings that is reserved for padding, in the families that reserve one. Tokens with the
    /// id `pad_token_id` take that row, and the other tokens are numbered from the next one.
    pub position_padding: Option<usize>,
    /// Whether the tokenizers of this family return token types.
    pub has_token_types: bool,
    /// Whether 8-bit integers have been measured to lose less than 0.005 NDCG@10 in this family.
    pub int8: bool,
    /// The dropout of the model's own training.
    pub dropout: Dropout,
}

impl EncoderConfig {
    /// Rows of the position embeddings for the tokens of a text, see [`EncoderConfig::position_padding`].
    pub fn positions(&self, ids: &[u32]) -> Vec<i64> {
        let Some(padding) = self.position_padding else { return (0..ids.len() as i64).collect() };
        let mut next = padding as i64;
        let position = |id: &u32| {
            if *id as usize == self.pad_token_id {
                return padding as i64;
            }
            next += 1;
            next
        };
        ids.iter().map(position).collect()
    }
}

/// The dropout that a `config.json` asks for in training.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropout {
    /// The key of the probability on hidden states, and its value.
    pub hidden: Option<(&'static str, f64)>,
    /// The key of the probability on attention weights, and its value.
    pub attention: Option<(&'static str, f64)>,
}

/// A family of encoders, as its `config.json` describes it.
pub(crate) trait Family: Sized {
    /// The values of `model_type` that this family reads.
    const MODEL_TYPES: &[&str];

    /// Reads a `config.json` of one of the types.
    fn from_json(model_type: &str, json: &Value) -> Result<Self, ConfigError>;

    /// What the family has in common with others.
    fn config(&self) -> EncoderConfig;

    /// The forward pass: the hidden states of all tokens after the last layer.
    fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error>;
}
