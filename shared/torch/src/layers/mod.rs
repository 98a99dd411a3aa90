//! The operations of a transformer layer, over packed tokens.
//!
//! On the CPU they are this crate's own kernels, on CUDA those of libtorch.

mod attention;
mod dropout;
mod experts;
mod feed_forward;
mod linear;
mod norm;
mod plain_attention;
mod rotary;
mod sequences;

pub use attention::{Attention, attention};
pub use dropout::{Dropout, add};
pub use experts::Experts;
pub use feed_forward::{Activation, Gate, feed_forward, gated_feed_forward};
pub use linear::{Adapter, Linear};
pub use norm::{Norm, NormKind, add_norm, head_norm, normalize};
pub use plain_attention::Mask;
pub use rotary::Rotary;
pub use sequences::Sequences;
