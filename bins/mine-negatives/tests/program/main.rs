//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract.

mod choice;
mod mining;
mod plane;
mod refusals;
