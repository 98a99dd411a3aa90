//! Measures retrieval and compares systems.

mod cli;
mod comparison;
mod diagnosis;
mod gates;
mod input;
mod measure;
mod report;
mod results;
mod retrieval;
mod run;
mod texts;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
