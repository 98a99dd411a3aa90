//! pairs2shards: tokenise training pairs into safetensors shards.

mod cleaner;
mod cli;
mod counts;
mod describe;
mod features;
mod guide;
mod holdout;
mod input;
mod packer;
mod prompts;
mod run;
mod shards;
mod tokenize;
mod warnings;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
