//! The real program, from its flags to its outputs. What every filter owes is tested in tests/tests/contract.

mod choice;
mod held_out;
mod mining;
mod parity;
mod plane;
mod refusals;
mod round_trip;
