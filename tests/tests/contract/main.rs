//! What every filter owes its user, in one table: the same tests for all seven.

mod changed;
mod damaged;
mod disks;
mod extremes;
mod filters;
mod kinds;
mod models;
mod outputs;
mod places;
mod records;
mod signals;
mod streams;
mod tensors;
mod terminal;
mod usage;
