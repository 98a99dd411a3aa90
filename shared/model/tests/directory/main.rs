//! Model directories, read and written.

mod onnx_encoder;
mod reading;
mod rotary;
mod saving;
mod shards;
mod support;
mod unknown;
