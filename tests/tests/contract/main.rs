//! What every filter owes its user, in one table: the same tests for all seven.

mod changed;
mod extremes;
mod files;
mod filters;
mod models;
mod outputs;
mod places;
mod records;
mod signals;
mod streams;
mod usage;
