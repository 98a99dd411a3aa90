//! The real program, from its flags to its outputs.

mod manners;
mod refusals;
mod runs;
mod support;
mod vectors;
