//! Model directories in the sentence-transformers layout.
//!
//! [`ModelDir::open`] reads what says how a text becomes a vector: `config.json` (the encoder), `modules.json`
//! (what follows it), `1_Pooling` and `N_Dense`, `sentence_bert_config.json` (length), and
//! `config_sentence_transformers.json` (prompts). Both the legacy form and the one that sentence-transformers 6
//! writes are read; the legacy form is written, because more programs load it. [`Weights`] gives the tensors by
//! their Hugging Face names, and [`save`] writes a directory that appears whole or not at all.
//!
//! A model that this crate does not know exactly is refused by name: a wrong vector is worse than none.

mod dense;
mod directory;
mod encoder;
mod error;
mod fingerprint;
mod hub;
mod json;
mod modules;
mod pooling;
mod save;
mod weights;

pub use dense::{Dense, DenseActivation};
pub use directory::{ModelDir, Role};
pub use encoder::{
    Activation, Architecture, BertConfig, EmbeddingNames, EncoderConfig, LayerNames, MAX_RELATIVE_DISTANCE,
    ModernBertConfig, ModernBertLayerNames, NomicBertConfig, NomicBertLayerNames, Parameter, Qwen3Config,
    Qwen3LayerNames, RELATIVE_BUCKETS, relative_position_bucket,
};
pub use error::ModelError;
pub use hub::locate;
pub use pooling::Pooling;
pub use save::{NewWeights, check_target, save};
pub use weights::Weights;
