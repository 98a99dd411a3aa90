//! Families of text encoders. Each is a file: the keys of `config.json` that it reads and refuses, the names of its
//! tensors, and one forward pass over the operations of [`Ops`].
//!
//! The pass is interpreted in several ways: as the list of its tensors ([`Encoder::parameters`]), as an ONNX graph, as
//! a network of libtorch, and as an amount of memory. A new family is a file here that implements `Family`, and a line
//! in the list of [`Encoder`]; it can then be embedded, exported, planned and trained.

mod activation;
mod bert;
mod config_json;
mod encoder;
mod family;
mod gemma3;
mod gte;
mod modern_bert;
mod nomic_bert;
mod ops;
mod qwen3;
mod relative_position;
mod t5;
mod walk;

pub use activation::Activation;
pub use config_json::ConfigError;
pub use encoder::Encoder;
pub use family::{Dropout, EncoderConfig};
pub use ops::{
    Attention, Embeddings, Experts, FeedForward, Inner, Linear, Mask, Norm, NormKind, Ops, Part, Projection,
    RelativeBias, Rotary, Table,
};
pub use walk::{Parameter, ParameterKind, Visitor};
