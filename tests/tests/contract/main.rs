//! The conventions that every filter follows: the same tests for all seven, with a table of them.

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
