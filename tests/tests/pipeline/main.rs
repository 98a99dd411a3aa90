//! The whole way of the data, from documents to the report, with small models.

mod chain;
mod embed;
mod flow;
mod forms;
mod leaks;
mod make;
mod pipes;
mod positives;
mod sets;
mod types;
