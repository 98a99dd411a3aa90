//! Model directories in the sentence-transformers layout.
//!
//! [`ModelDir::open`] reads the files that say how a text becomes a vector: `config.json` (the encoder), `modules.json`
//! (what follows it), `1_Pooling` and `N_Dense`, `sentence_bert_config.json` (length), `tokenizer_config.json`, and
//! `config_sentence_transformers.json` (prompts). It reads both the legacy layout and that of sentence-transformers 6.
//! [`save()`] writes the legacy layout, because more programs load it; the directory appears complete or not at all.
//! [`Weights`] maps the tensors and finds them by their Hugging Face names.
//!
//! A setting that this crate does not support is an error that names it: a wrong vector is worse than none. If the
//! directory has an ONNX file, [`AnyModelDir`] describes how to run that instead.

mod adapter;
mod dense;
mod directory;
mod download;
mod error;
mod external_data;
mod fastembed;
mod files;
mod hub;
mod modules;
mod onnx_encoder;
mod parameters;
mod pooling;
mod save;
mod sentence_config;
mod snapshot;
mod tensor_files;
mod tokenizer;
mod transformer_config;
mod weights;

pub use dense::{Dense, DenseActivation, DenseWeights};
pub use directory::{AnyModelDir, ModelDir, Role};
pub use error::ModelError;
pub use fastembed::missing_tokenizer_files;
pub use hub::locate;
pub use onnx_encoder::{AnyEncoder, OnnxEncoder};
pub use pooling::Pooling;
pub use save::{NewWeights, check_target, save};
pub use tensor_files::Place;
pub use tokenizer::TokenizerSpec;
pub use weights::Weights;
