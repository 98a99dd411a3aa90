//! ONNX graphs, written by embtune itself.
//!
//! - [`portable_encoder`]: the encoder alone, as other programs expect a `model.onnx`;
//! - [`sentence_encoder`]: encoder, pooling, Dense modules and normalisation, for embtune's own inference;
//! - [`sentence_head`]: the same without the encoder, for behind somebody else's;
//! - [`top_k`] and [`dot_products`]: the search of the nearest vectors, and all scores.
//!
//! Weights are not copied into the graphs: they are external data that points into the model's own file,
//! safetensors or a checkpoint of torch, so a graph is kilobytes and never meets protobuf's limit of 2 GB.

mod activation;
mod encoder;
mod graph;
mod head;
mod layout;
mod model_file;
mod pooling;
mod precision;
mod proto;
mod search;
mod sentence;
mod weights;

pub use head::sentence_head;
pub use layout::Layout;
pub use model_file::{PORTABLE_FILE, portable_encoder};
pub use precision::Precision;
pub use search::{dot_products, top_k};
pub use sentence::{Form, sentence_encoder};
