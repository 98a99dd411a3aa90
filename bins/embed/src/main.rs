//! embed: turn texts into vectors.

mod cli;
mod input;
mod kept;
mod long;
mod pipeline;
mod run;
mod sink;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
