//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract.

mod compat;
mod diagnosis;
mod formats;
mod gates;
mod inputs;
mod names;
mod page;
mod refusals;
mod reports;
mod rules;
mod runs;
mod vectors;
