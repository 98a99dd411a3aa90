//! Texts to vectors.
//!
//! [`Encoder::load`] takes a model directory; [`Encoder::encode`] takes texts and gives their vectors in the same
//! order. In between, texts are tokenised in parallel, sorted by length and packed into batches of a token budget, and
//! the batches run, through a graph of embtune's own or an ONNX file of the directory, on as many single-threaded sessions as there are threads (measured faster on a CPU than one wide
//! session), or on the one GPU.

mod encoder;
mod front;
mod network;
mod runner;

pub use embtune_onnx::Precision;
pub use embtune_ort_engine::Kernels;
pub use encoder::{EncodeError, Encoded, Encoder, EncoderOptions};
pub use front::Front;
pub use runner::Runner;
