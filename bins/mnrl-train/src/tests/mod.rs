//! The whole engine against the reference, and against itself.

mod exactness;
mod parity;
