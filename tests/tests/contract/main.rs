//! What every filter owes its user, in one table: the same tests for all seven.

mod changed;
mod extremes;
mod filters;
mod kinds;
mod models;
mod outputs;
mod records;
mod signals;
mod tensors;
mod usage;
