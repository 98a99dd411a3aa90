//! The real program, from its flags to its outputs.

mod choice;
mod manners;
mod mining;
mod refusals;
mod support;
