//! Adds hard negatives to training pairs.

mod choice;
mod cli;
mod corpus;
mod counts;
mod miner;
mod pairs;
mod run;
mod search;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
