//! embed: turn texts into vectors.

mod answer;
mod cache;
mod chunk;
mod cli;
mod fields;
mod format;
mod known;
mod long;
mod part;
mod pipeline;
mod recipe;
mod records;
mod run;
mod shape;
mod shard;
mod sink;
mod tally;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
