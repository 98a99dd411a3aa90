//! The whole engine, compared with the reference and with itself.

mod exactness;
mod parity;
