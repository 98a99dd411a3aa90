//! Writes search queries for documents: training pairs for a retrieval model.

mod cli;
mod documents;
mod extractive;
mod filters;
mod llm;
mod openai;
mod pairs;
mod parse;
mod prompt;
mod run;
mod text;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
