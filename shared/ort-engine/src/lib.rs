//! ONNX Runtime: finds the library, chooses the device, runs graphs.
//!
//! The library is loaded at run time, so that one build serves machines with and without a GPU. It is searched for
//! where the caller says; otherwise beside the program, then where `make deps` installs it.

mod engine;
mod error;
mod kernels;
mod library;
mod session;

pub use engine::{Engine, Graph};
pub use error::EngineError;
pub use kernels::Kernels;
pub use session::{ElementType, Output, Session, Tensor, TensorInfo};
