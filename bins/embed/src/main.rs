//! embed: turn texts into vectors.

mod answer;
mod cache;
mod cli;
mod flow_args;
mod format;
mod known;
mod part;
mod pipeline;
mod recipe;
mod records;
mod run;
mod shard;
mod sink;
mod tally;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
