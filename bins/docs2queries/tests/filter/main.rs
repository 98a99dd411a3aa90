//! The real binary, from outside.

mod extractive;
mod journal;
mod manners;
mod openai;
mod server;
mod support;
