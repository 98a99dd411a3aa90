//! ONNX Runtime: find the library, choose the device, run graphs.
//!
//! The library is loaded at run time: one build serves machines with and without a GPU. It is looked for where the
//! caller says, then beside the program, then where `make deps` put it.

mod cuda;
mod engine;
mod error;
mod kernels;
mod library;
mod session;

pub use engine::{Engine, Graph};
pub use error::EngineError;
pub use kernels::Kernels;
pub use session::{Number, Output, Port, Session, Tensor};
