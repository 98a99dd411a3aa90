//! The configuration of an encoder, from its `config.json`.

use serde::Deserialize;
use serde_json::Value;

use super::bert::BertConfig;
use super::config_json::{ConfigError, parse};
use super::modern_bert::ModernBertConfig;
use super::nomic_bert::NomicBertConfig;
use super::qwen3::Qwen3Config;
use crate::parameters::Parameter;

/// Configuration of an encoder: a variant for each forward pass.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderConfig {
    /// BERT, RoBERTa, XLM-RoBERTa, MPNet and DistilBERT.
    Bert(BertConfig),
    /// ModernBERT.
    ModernBert(ModernBertConfig),
    /// NomicBERT.
    NomicBert(NomicBertConfig),
    /// Qwen3, which Qwen3-Embedding is made from.
    Qwen3(Qwen3Config),
}

/// The families' names of the number that keeps a norm from dividing by 0.
const EPSILONS: [&str; 4] = ["layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps"];

#[derive(Deserialize)]
struct Family {
    model_type: Option<String>,
}

impl EncoderConfig {
    /// Reads a `config.json`, or says what embtune does not support in it.
    pub(crate) fn from_json(json: &Value) -> Result<Self, ConfigError> {
        let config = Self::of_family(json)?;
        for key in EPSILONS {
            if let Some(found) = json
                .get(key)
                .filter(|found| !found.is_null() && !found.as_f64().is_some_and(|eps| (0.0..1.0).contains(&eps)))
            {
                return Err(ConfigError::Invalid(format!(
                    "{key} must be a number from 0 to less than 1, found {found}"
                )));
            }
        }
        let (padding, vocab_size) = (config.pad_token_id(), config.vocab_size());
        if padding >= vocab_size {
            return Err(ConfigError::Invalid(format!("pad_token_id {padding} is not below vocab_size {vocab_size}")));
        }
        Ok(config)
    }

    fn of_family(json: &Value) -> Result<Self, ConfigError> {
        let family: Family = parse(json)?;
        let Some(model_type) = family.model_type else {
            // Old versions of transformers guessed it from the name of the directory.
            let what = "config.json has no model_type, so that the architecture is unknown";
            return Err(ConfigError::Unsupported(what.into()));
        };
        match model_type.as_str() {
            "bert" | "xlm-roberta" | "roberta" | "mpnet" | "distilbert" => {
                Ok(Self::Bert(BertConfig::from_json(&model_type, json)?))
            }
            "modernbert" => Ok(Self::ModernBert(ModernBertConfig::from_json(json)?)),
            "nomic_bert" => Ok(Self::NomicBert(NomicBertConfig::from_json(json.clone())?)),
            "qwen3" => Ok(Self::Qwen3(Qwen3Config::from_json(json)?)),
            other => Err(ConfigError::Unsupported(format!(
                "model_type \"{other}\" is not supported (supported: bert, roberta, xlm-roberta, mpnet, distilbert, modernbert, nomic_bert, qwen3)"
            ))),
        }
    }

    /// The architecture's usual name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bert(config) => config.architecture.name(),
            Self::ModernBert(_) => "ModernBERT",
            Self::NomicBert(_) => "NomicBERT",
            Self::Qwen3(_) => "Qwen3",
        }
    }

    /// Rows of the word embeddings.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.vocab_size,
            Self::ModernBert(config) => config.vocab_size,
            Self::NomicBert(config) => config.vocab_size,
            Self::Qwen3(config) => config.vocab_size,
        }
    }

    /// Number of elements of a hidden state.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
            Self::ModernBert(config) => config.hidden_size,
            Self::NomicBert(config) => config.hidden_size,
            Self::Qwen3(config) => config.hidden_size,
        }
    }

    /// Number of layers.
    pub fn num_hidden_layers(&self) -> usize {
        match self {
            Self::Bert(config) => config.num_hidden_layers,
            Self::ModernBert(config) => config.is_global.len(),
            Self::NomicBert(config) => config.num_hidden_layers,
            Self::Qwen3(config) => config.num_hidden_layers,
        }
    }

    /// Id of the token that short rows are padded with.
    pub fn pad_token_id(&self) -> usize {
        match self {
            Self::Bert(config) => config.pad_token_id,
            Self::ModernBert(config) => config.pad_token_id,
            Self::NomicBert(config) => config.pad_token_id,
            Self::Qwen3(config) => config.pad_token_id,
        }
    }

    /// Row of the position embeddings that is reserved for padding, see [`BertConfig::position_padding`].
    pub fn position_padding(&self) -> Option<usize> {
        match self {
            Self::Bert(config) => config.position_padding(),
            Self::ModernBert(_) | Self::NomicBert(_) | Self::Qwen3(_) => None,
        }
    }

    /// Maximum number of tokens of a text.
    pub fn max_length(&self) -> usize {
        match self {
            Self::Bert(config) => config.max_length(),
            Self::ModernBert(config) => config.max_position_embeddings,
            Self::NomicBert(config) => config.max_position_embeddings,
            Self::Qwen3(config) => config.max_position_embeddings,
        }
    }

    /// Stem of the word embeddings' name.
    pub(crate) fn word_embeddings(&self) -> &'static str {
        match self {
            Self::Bert(config) => config.architecture.embedding_names().word,
            Self::ModernBert(_) => ModernBertConfig::WORD_EMBEDDINGS,
            Self::NomicBert(_) => NomicBertConfig::WORD_EMBEDDINGS,
            Self::Qwen3(_) => Qwen3Config::WORD_EMBEDDINGS,
        }
    }

    /// Every tensor that the forward pass reads, in the order in which it reads them.
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Bert(config) => config.parameters(),
            Self::ModernBert(config) => config.parameters(),
            Self::NomicBert(config) => config.parameters(),
            Self::Qwen3(config) => config.parameters(),
        }
    }
}
