//! libtorch for training: [`tch`] re-exported, and what it lacks through a small C++ shim.
//!
//! - [`leaf`] makes parameters that are views of one flat buffer and accumulate their gradients in another, so that
//!   clipping and AdamW are a handful of kernels ([`clip`], [`AdamW`]);
//! - [`attention`], [`add_norm`], [`feed_forward`] and [`Dropout`] work on packed tokens, without padding;
//! - [`Communicator`] makes several processes one, over Gloo or NCCL, and [`Overlap`] adds their gradients up during the backward
//!   pass;
//! - [`open_device`] loads CUDA when it is asked for: one build serves machines with and without a GPU.

mod device;
mod ffi;
mod group;
mod layers;
mod nccl;
mod optimizer;
mod overlap;
mod parameters;
mod state;

pub use device::{OpenedDevice, open_device};
pub use ffi::TorchError;
pub use group::{Communicator, Store, StoreAddress, ring_gather, ring_sum};
pub use layers::{Activation, Adapter, Dropout, Linear, Norm, Sequences, add_norm, attention, feed_forward};
pub use nccl::NCCL;
pub use optimizer::{AdamW, Segment};
pub use overlap::{Bucket, Overlap};
pub use parameters::{clip, leaf};
pub use state::{CudaMemory, cuda_memory, generator_state, seed, set_generator_state};
pub use tch;
