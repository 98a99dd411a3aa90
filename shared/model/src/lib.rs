//! Model directories in the sentence-transformers layout.
//!
//! [`ModelDir::open`] reads what says how a text becomes a vector: `config.json` (the encoder), `modules.json`
//! (what follows it), `1_Pooling` and `N_Dense`, `sentence_bert_config.json` (length), `tokenizer_config.json`, and
//! `config_sentence_transformers.json` (prompts). Both the legacy form and the one that sentence-transformers 6
//! writes are read; the legacy form is written, because more programs load it. [`Weights`] gives the tensors by
//! their Hugging Face names, and [`save`] writes a directory that appears whole or not at all.
//!
//! A model that this crate does not know exactly is refused by name: a wrong vector is worse than none. Where its
//! directory has an ONNX file, [`AnyModelDir`] says how that is run.

mod dense;
mod dense_weights;
mod directory;
mod download;
mod encoder;
mod error;
mod external_data;
mod fingerprint;
mod hub;
mod json;
mod modules;
mod pooling;
mod save;
mod settings;
mod tokenizer;
mod transformer;
mod weights;

pub use dense::{Dense, DenseActivation};
pub use dense_weights::DenseWeights;
pub use directory::{AnyModelDir, ModelDir, Role};
pub use encoder::{
    Activation, AnyEncoder, Architecture, BertConfig, EmbeddingNames, EncoderConfig, LayerNames, MAX_RELATIVE_DISTANCE,
    ModernBertConfig, ModernBertLayerNames, NomicBertConfig, NomicBertLayerNames, OnnxEncoder, Parameter, Qwen3Config,
    Qwen3LayerNames, RELATIVE_BUCKETS, relative_position_bucket,
};
pub use error::ModelError;
pub use hub::locate;
pub use pooling::Pooling;
pub use save::{NewWeights, check_target, save};
pub use tokenizer::{TokenizerSpec, missing_tokenizer_files};
pub use weights::Weights;
