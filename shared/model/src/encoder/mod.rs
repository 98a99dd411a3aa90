//! The encoder: what the forward pass needs to know.

mod any;
mod bert;
mod bert_json;
mod bert_names;
mod json;
mod modern_bert;
mod nomic_bert;
mod onnx;
mod parameters;
mod qwen3;
mod relative;
mod rope;

use serde::Deserialize;
use serde_json::Value;

pub use any::AnyEncoder;
pub use bert::{Activation, Architecture, BertConfig};
pub use bert_names::{EmbeddingNames, LayerNames};
pub(crate) use json::Refusal;
pub use modern_bert::{ModernBertConfig, ModernBertLayerNames};
pub use nomic_bert::{NomicBertConfig, NomicBertLayerNames};
pub use onnx::OnnxEncoder;
pub use parameters::Parameter;
pub use qwen3::{Qwen3Config, Qwen3LayerNames};
pub use relative::{MAX_RELATIVE_DISTANCE, RELATIVE_BUCKETS, relative_position_bucket};

/// Shape of an encoder: a variant for each forward pass.
#[derive(Debug, Clone, PartialEq)]
pub enum EncoderConfig {
    /// BERT, RoBERTa, XLM-RoBERTa, MPNet and DistilBERT.
    Bert(BertConfig),
    /// ModernBERT.
    ModernBert(ModernBertConfig),
    /// NomicBERT.
    NomicBert(NomicBertConfig),
    /// Qwen3, which Qwen3-Embedding is.
    Qwen3(Qwen3Config),
}

/// What families call the number that keeps a norm from dividing by 0.
const EPSILONS: [&str; 4] = ["layer_norm_eps", "layer_norm_epsilon", "norm_eps", "rms_norm_eps"];

#[derive(Deserialize)]
struct Family {
    model_type: Option<String>,
}

impl EncoderConfig {
    /// Takes what embtune computes with, or says what it does not know.
    pub(crate) fn from_json(json: &Value) -> Result<Self, Refusal> {
        let config = Self::of_family(json)?;
        for key in EPSILONS {
            if let Some(found) = json
                .get(key)
                .filter(|found| !found.is_null() && !found.as_f64().is_some_and(|eps| (0.0..1.0).contains(&eps)))
            {
                return Err(Refusal::Content(format!("{key} must be a number from 0 to less than 1, found {found}")));
            }
        }
        let (padding, words) = (config.pad_token_id(), config.vocab_size());
        if padding >= words {
            return Err(Refusal::Content(format!("pad_token_id {padding} is not below vocab_size {words}")));
        }
        Ok(config)
    }

    fn of_family(json: &Value) -> Result<Self, Refusal> {
        let family: Family = json::parse(json)?;
        let Some(model_type) = family.model_type else {
            // Files of old versions of transformers; the name of the directory would be a guess.
            let what = "config.json has no model_type, so that the architecture is not known";
            return Err(Refusal::Unsupported(what.into()));
        };
        match model_type.as_str() {
            "bert" | "xlm-roberta" | "roberta" | "mpnet" | "distilbert" => {
                Ok(Self::Bert(BertConfig::from_json(&model_type, json)?))
            }
            "modernbert" => Ok(Self::ModernBert(ModernBertConfig::from_json(json)?)),
            "nomic_bert" => Ok(Self::NomicBert(NomicBertConfig::from_json(json.clone())?)),
            "qwen3" => Ok(Self::Qwen3(Qwen3Config::from_json(json)?)),
            other => Err(Refusal::Unsupported(format!(
                "model_type \"{other}\" is not supported (supported: bert, roberta, xlm-roberta, mpnet, distilbert, modernbert, nomic_bert, qwen3)"
            ))),
        }
    }

    /// What people call it.
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

    /// Elements of a hidden state.
    pub fn hidden_size(&self) -> usize {
        match self {
            Self::Bert(config) => config.hidden_size,
            Self::ModernBert(config) => config.hidden_size,
            Self::NomicBert(config) => config.hidden_size,
            Self::Qwen3(config) => config.hidden_size,
        }
    }

    /// Layers.
    pub fn num_hidden_layers(&self) -> usize {
        match self {
            Self::Bert(config) => config.num_hidden_layers,
            Self::ModernBert(config) => config.is_global.len(),
            Self::NomicBert(config) => config.num_hidden_layers,
            Self::Qwen3(config) => config.num_hidden_layers,
        }
    }

    /// What short rows are filled up with.
    pub fn pad_token_id(&self) -> usize {
        match self {
            Self::Bert(config) => config.pad_token_id,
            Self::ModernBert(config) => config.pad_token_id,
            Self::NomicBert(config) => config.pad_token_id,
            Self::Qwen3(config) => config.pad_token_id,
        }
    }

    /// Row of the position embeddings that padding takes, see [`BertConfig::position_padding`].
    pub fn position_padding(&self) -> Option<usize> {
        match self {
            Self::Bert(config) => config.position_padding(),
            Self::ModernBert(_) | Self::NomicBert(_) | Self::Qwen3(_) => None,
        }
    }

    /// Most tokens that a text may have.
    pub fn max_length(&self) -> usize {
        match self {
            Self::Bert(config) => config.max_length(),
            Self::ModernBert(config) => config.max_position_embeddings,
            Self::NomicBert(config) => config.max_position_embeddings,
            Self::Qwen3(config) => config.max_position_embeddings,
        }
    }

    /// Stem of the name of the word embeddings.
    pub(crate) fn word_embeddings(&self) -> &'static str {
        match self {
            Self::Bert(config) => config.architecture.embedding_names().word,
            Self::ModernBert(_) => ModernBertConfig::WORD_EMBEDDINGS,
            Self::NomicBert(_) => NomicBertConfig::WORD_EMBEDDINGS,
            Self::Qwen3(_) => Qwen3Config::WORD_EMBEDDINGS,
        }
    }

    /// Every tensor that the forward pass reads, in the order in which it does.
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            Self::Bert(config) => config.parameters(),
            Self::ModernBert(config) => config.parameters(),
            Self::NomicBert(config) => config.parameters(),
            Self::Qwen3(config) => config.parameters(),
        }
    }
}
