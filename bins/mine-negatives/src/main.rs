//! Adds hard negatives to training pairs.

mod candidates;
mod cli;
mod corpus;
mod counts;
mod drop_reason;
mod exclusions;
mod hash;
mod limits;
mod miner;
mod positives;
mod run;
mod search;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
