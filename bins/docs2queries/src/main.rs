//! Writes search queries for documents: training pairs for a retrieval model.

mod ahead;
mod cli;
mod extractive;
mod failure;
mod journal;
mod llm;
mod openai;
mod pairs;
mod parse;
mod prompt;
mod reply;
mod retry;
mod run;
mod sentences;
mod sink;
mod source;
mod terms;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
