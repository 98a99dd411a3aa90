//! Adds hard negatives to training pairs.

mod choose;
mod cli;
mod corpus;
mod counts;
mod known;
mod limits;
mod look;
mod miner;
mod queries;
mod reason;
mod record;
mod run;
mod search;
mod source;
mod texts;
mod withheld;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
