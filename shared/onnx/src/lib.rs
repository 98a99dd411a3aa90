//! ONNX graphs, which embtune builds itself rather than tracing a program.
//!
//! - [`portable_encoder`]: the encoder alone, as other programs expect a `model.onnx`;
//! - [`sentence_encoder`]: encoder, pooling, Dense modules and normalisation, for embtune's own inference;
//! - [`sentence_head`]: the same without the encoder, for hidden states that another graph computes;
//! - [`top_k`] and [`dot_products`]: exact search among vectors, and all scores.
//!
//! Weights are not copied into the graphs. They are external data that refers to the model's own files, safetensors or
//! PyTorch checkpoints, so that a graph has only kilobytes and never reaches protobuf's limit of 2 GB.

mod activation;
mod encoder;
mod graph;
mod head;
mod matrix;
mod models;
mod options;
mod proto;
mod search;
mod tokens;
mod weights;

pub use models::{PORTABLE_FILE, portable_encoder, sentence_encoder, sentence_head};
pub use options::{GraphOptions, HeadOptions, Layout, Precision};
pub use search::{dot_products, top_k};
