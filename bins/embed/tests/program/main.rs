//! Tests of the program itself. tests/tests/contract tests what all filters have in common, tests/tests/embedding long
//! runs, and tests/tests/pipeline how other filters use its vectors.

mod directory;
mod hub;
mod input;
mod long;
mod onnx_model;
mod refusals;
mod support;
mod types;
mod verify;
