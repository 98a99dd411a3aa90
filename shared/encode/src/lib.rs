//! Turns texts into vectors.
//!
//! [`Encoder::load`] takes a model directory; [`Encoder::encode`] takes texts and returns their vectors in the same
//! order. In between, texts are tokenised in parallel, sorted by length and packed into batches of a token budget. The
//! batches run through a graph that embtune writes itself, or through an ONNX file of the directory: on one GPU, or on
//! as many single-threaded sessions as there are CPU threads (measured to be faster than one session with many
//! threads).
//!
//! Callers that want tokenisation and inference on different threads use the two halves of an [`Encoder`] directly:
//! [`TextTokenizer`] and [`ModelRunner`].

mod backend;
mod batch;
mod encoder;
mod error;
mod model_runner;
mod options;
mod text_tokenizer;

pub use embtune_onnx::Precision;
pub use embtune_ort_engine::Kernels;
pub use encoder::{Encoded, Encoder};
pub use error::EncodeError;
pub use model_runner::ModelRunner;
pub use options::EncoderOptions;
pub use text_tokenizer::TextTokenizer;
