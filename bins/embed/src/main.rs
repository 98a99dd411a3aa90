//! embed: turn texts into vectors.

mod cli;
mod embedding;
mod input;
mod long_texts;
mod model;
mod output;
mod pipeline;
mod run;
mod store;
mod vectors;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
