//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract, what long
//! runs owe in tests/tests/embedding, and vectors on their way to other filters in tests/tests/pipeline.

mod directory;
mod environment;
mod foreign;
mod hub;
mod ids;
mod input;
mod long;
mod model;
mod refusals;
mod types;
mod verify;
