//! libtorch for training: re-exports [`tch`], and adds what it lacks through a small C++ shim.
//!
//! - [`leaf`] creates parameters that are views of one flat buffer and accumulate their gradients in another, so that
//!   clipping and AdamW take a handful of kernels ([`clip`], [`AdamW`]);
//! - [`attention`], [`Norm`], [`Linear`], [`feed_forward`], [`gated_feed_forward`], [`Experts`] and [`Dropout`] work on packed
//!   tokens, without padding; [`normalize`] on vectors;
//! - [`Communicator`] connects several processes, over Gloo or NCCL, and [`Reducer`] sums their gradients during the
//!   backward pass;
//! - [`open_device`] loads CUDA on demand, so that one build serves machines with and without a GPU.

mod communicator;
mod device;
mod ffi;
mod layers;
mod nccl;
mod parameters;
mod reducer;
mod state;
mod store;

pub use communicator::{Communicator, all_gather_bytes, all_reduce_bytes};
pub use device::{OpenedDevice, open_device};
pub use ffi::TorchError;
pub use layers::{
    Activation, Adapter, Attention, Dropout, Experts, Gate, Linear, Mask, Norm, NormKind, Rotary, Sequences, add,
    add_norm, attention, feed_forward, gated_feed_forward, head_norm, normalize,
};
pub use nccl::NCCL;
pub use parameters::{AdamW, ParamGroup, clip, leaf};
pub use reducer::{Bucket, Reducer};
pub use state::{CudaMemory, cuda_memory, generator_state, seed, set_generator_state};
pub use store::{Store, StoreAddress};
pub use tch;
