//! Adds hard negatives to training pairs.

mod choose;
mod cli;
mod corpus;
mod counts;
mod known;
mod limits;
mod miner;
mod queries;
mod run;
mod source;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
