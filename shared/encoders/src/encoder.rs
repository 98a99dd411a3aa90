//! The list of families, and what all of them have in common.

use std::convert::Infallible;

use serde_json::Value;

use crate::config_json::{ConfigError, check_sizes};
use crate::ops::Ops;
use crate::walk::{Collector, Parameter, Visitor, Walk};
use crate::{bert, gemma3, gte, modern_bert, nomic_bert, qwen3, t5};

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

/// Declares the enum of all families, whose methods call those of the one at hand.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident($family:ty),)*) => {
        /// An encoder of any family.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Encoder {
            config: EncoderConfig,
            family: AnyFamily,
        }

        #[derive(Debug, Clone, PartialEq)]
        enum AnyFamily {
            $($(#[$doc])* $name($family),)*
        }

        impl AnyFamily {
            const MODEL_TYPES: &[&[&str]] = &[$(<$family as Family>::MODEL_TYPES,)*];

            fn from_json(model_type: &str, json: &Value) -> Result<Option<(Self, EncoderConfig)>, ConfigError> {
                $(if <$family as Family>::MODEL_TYPES.contains(&model_type) {
                    let family = <$family as Family>::from_json(model_type, json)?;
                    let config = family.config();
                    return Ok(Some((Self::$name(family), config)));
                })*
                Ok(None)
            }

            fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
                match self {
                    $(Self::$name(family) => family.forward(ops),)*
                }
            }
        }
    };
}

families! {
    /// BERT, RoBERTa, XLM-RoBERTa, CamemBERT, MPNet and DistilBERT.
    Bert(bert::Bert),
    /// ModernBERT.
    ModernBert(modern_bert::ModernBert),
    /// NomicBERT and jina-embeddings-v3.
    NomicBert(nomic_bert::NomicBert),
    /// GTE, also called "new".
    Gte(gte::Gte),
    /// T5's encoder.
    T5(t5::T5),
    /// Gemma 3, which EmbeddingGemma is made from.
    Gemma3(gemma3::Gemma3),
    /// Qwen3, which Qwen3-Embedding is made from.
    Qwen3(qwen3::Qwen3),
}

/// The families' names of the number that keeps a norm from dividing by 0.
const EPSILONS: [&str; 4] = ["layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps"];

impl Encoder {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// Values that are missing, impossible or unknown, or that ask for something that embtune does not compute.
    pub fn from_json(json: &Value) -> Result<Self, ConfigError> {
        let model_type = match json.get("model_type") {
            Some(Value::String(model_type)) => model_type,
            None | Some(Value::Null) => {
                // Old versions of transformers guessed it from the name of the directory.
                let what = "config.json has no model_type, so that the architecture is unknown";
                return Err(ConfigError::Unsupported(what.into()));
            }
            Some(other) => return Err(ConfigError::Invalid(format!("model_type must be a string, found {other}"))),
        };
        let Some((family, config)) = AnyFamily::from_json(model_type, json)? else {
            let supported = AnyFamily::MODEL_TYPES.concat().join(", ");
            let what = format!("model_type \"{model_type}\" is not supported (supported: {supported})");
            return Err(ConfigError::Unsupported(what));
        };
        check_sizes(config.hidden_size, config.num_hidden_layers, config.max_length)?;
        let is_epsilon = |eps: f64| (0.0..1.0).contains(&eps);
        for key in EPSILONS {
            match json.get(key).filter(|found| !found.is_null()) {
                Some(found) if !found.as_f64().is_some_and(is_epsilon) => {
                    let what = format!("{key} must be a number from 0 to less than 1, found {found}");
                    return Err(ConfigError::Invalid(what));
                }
                _ => {}
            }
        }
        let (padding, vocab_size) = (config.pad_token_id, config.vocab_size);
        if padding >= vocab_size {
            return Err(ConfigError::Invalid(format!("pad_token_id {padding} is not below vocab_size {vocab_size}")));
        }
        Ok(Self { config, family })
    }

    /// What this encoder has in common with those of other families.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The forward pass, as `ops` interprets it: the hidden states of all tokens after the last layer.
    ///
    /// # Errors
    /// Those of the interpreter.
    pub fn forward<O: Ops>(&self, ops: &mut O) -> Result<O::Value, O::Error> {
        self.family.forward(ops)
    }

    /// Visits everything that the forward pass reads, in the order in which it reads it.
    ///
    /// # Errors
    /// Those of the visitor.
    pub fn visit<V: Visitor>(&self, visitor: &mut V) -> Result<(), V::Error> {
        self.forward(&mut Walk(visitor))
    }

    /// Whether every attention sees all tokens of its row, without a bias by relative position.
    pub fn has_plain_attention(&self) -> bool {
        let mut collector = Collector::new();
        let Ok(()): Result<(), Infallible> = self.visit(&mut collector);
        collector.is_plain
    }

    /// Every tensor that the forward pass reads, in the order in which it reads them; a layer's query, key and value
    /// are adjacent. The first one is the table of word embeddings.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut collector = Collector::new();
        let Ok(()): Result<(), Infallible> = self.visit(&mut collector);
        collector.parameters
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bert(model_type: &str) -> EncoderConfig {
        let json = json!({
            "model_type": model_type, "vocab_size": 10, "hidden_size": 2, "num_hidden_layers": 1, "pad_token_id": 1,
            "num_attention_heads": 1, "intermediate_size": 2, "hidden_act": "gelu", "max_position_embeddings": 10,
        });
        Encoder::from_json(&json).unwrap().config().clone()
    }

    #[test]
    fn padding_tokens_inside_a_text_do_not_count_as_positions() {
        assert_eq!(bert("bert").positions(&[5, 6, 1, 7]), [0, 1, 2, 3]);
        assert_eq!(bert("xlm-roberta").positions(&[5, 6, 1, 7]), [2, 3, 1, 4]);
        assert_eq!((bert("bert").max_length, bert("xlm-roberta").max_length), (10, 8));
    }
}
