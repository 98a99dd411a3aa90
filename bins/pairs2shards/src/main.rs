//! pairs2shards: tokenise training pairs into safetensors shards.

mod ahead;
mod cleaner;
mod cli;
mod columns;
mod counts;
mod describe;
mod guide;
mod holdout;
mod print;
mod run;
mod shards;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
