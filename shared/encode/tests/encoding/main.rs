//! Tests of encoders: comparison with sentence-transformers, and models and options that are refused.

mod cuda;
mod onnx_file;
mod parity;
mod portable;
mod settings;
mod support;
mod weights;
