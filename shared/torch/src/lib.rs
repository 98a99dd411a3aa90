//! libtorch for training: [`tch`] re-exported, and what it lacks through a small C++ shim.
//!
//! - [`leaf`] makes parameters that are views of one flat buffer and accumulate their gradients in another, so that
//!   clipping and AdamW are a handful of kernels ([`clip`], [`AdamW`]);
//! - [`dropout`] is cheap on the CPU;
//! - [`open_device`] loads CUDA when it is asked for: one build serves machines with and without a GPU.

mod device;
mod ffi;
mod optimizer;
mod random;

pub use device::{OpenedDevice, open_device};
pub use ffi::{TorchError, clip, dropout, leaf};
pub use optimizer::AdamW;
pub use random::seed;
pub use tch;
