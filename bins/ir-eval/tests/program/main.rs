//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract.

mod outputs;
mod refusals;
mod runs;
mod vectors;
