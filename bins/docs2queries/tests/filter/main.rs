//! Tests of the binary.

mod batch;
mod batch_faults;
mod batch_server;
mod connection;
mod dialect;
mod endless;
mod extractive;
mod failures;
mod filters;
mod journal;
mod manners;
mod money;
mod openai;
mod prompt;
mod rate_limits;
mod server;
mod support;
mod useless_replies;
