//! embed: turn texts into vectors.

mod cli;
mod format;
mod pipeline;
mod records;
mod run;
mod sink;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
