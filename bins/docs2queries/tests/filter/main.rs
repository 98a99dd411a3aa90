//! The real binary, from outside.

mod batch;
mod batch_faults;
mod batch_server;
mod divided;
mod endless;
mod extractive;
mod filters;
mod journal;
mod kills;
mod manners;
mod money;
mod openai;
mod pace;
mod passages;
mod prompt;
mod proxy;
mod secrets;
mod server;
mod support;
mod terminal;
mod troubles;
mod useless;
mod waits;
mod words;
