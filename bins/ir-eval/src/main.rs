//! Measures retrieval and compares systems.

mod cli;
mod compare;
mod diagnose;
mod gate;
mod input;
mod measure;
mod report;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
