//! The list of families.

use std::convert::Infallible;

use serde_json::Value;

use crate::config_json::{ConfigError, check_sizes};
use crate::family::{EncoderConfig, Family};
use crate::ops::Ops;
use crate::walk::{Collector, Parameter, Visitor, Walk};
use crate::{bert, gemma3, gte, modern_bert, nomic_bert, qwen3, t5};

/// Declares the enum of all families, whose methods call those of the one at hand.
macro_rules! families {
    ($($(#[$doc:meta])* $name:ident($family:ty),)*) => {
        /// An encoder of any family.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Encoder {
            config: EncoderConfig,
            /// Boxed, because the families differ in size.
            family: Box<AnyFamily>,
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
        Ok(Self { config, family: Box::new(family) })
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
