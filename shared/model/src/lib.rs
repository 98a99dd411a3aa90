//! Model directories in the sentence-transformers layout.
//!
//! [`ModelDir::open`] reads what says how a text becomes a vector: `config.json` (the encoder), `modules.json`
//! (what follows it), `1_Pooling` and `N_Dense`, `sentence_bert_config.json` (length), and
//! `config_sentence_transformers.json` (prompts). Both the legacy form and the one that sentence-transformers 6
//! writes are read; the legacy form is written, because more programs load it. [`Weights`] gives the tensors by
//! their Hugging Face names, and [`save`] writes a directory that appears whole or not at all.
//!
//! A model that this crate does not know exactly is refused by name: a wrong vector is worse than none.

mod config;
mod dense;
mod directory;
mod error;
mod fingerprint;
mod hub;
mod json;
mod modules;
mod names;
mod pooling;
mod raw_config;
mod relative;
mod save;
mod weights;

pub use config::{Activation, Architecture, EncoderConfig, Parameter};
pub use dense::{Dense, DenseActivation};
pub use directory::{ModelDir, Role};
pub use error::ModelError;
pub use hub::locate;
pub use names::{EmbeddingNames, LayerNames};
pub use pooling::Pooling;
pub use relative::{MAX_RELATIVE_DISTANCE, RELATIVE_BUCKETS, relative_position_bucket};
pub use save::{NewWeights, check_target, save};
pub use weights::Weights;
