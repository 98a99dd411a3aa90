//! pairs2shards: tokenise training pairs into safetensors shards.

mod cleaner;
mod cli;
mod columns;
mod contradictions;
mod counts;
mod describe;
mod guide;
mod holdout;
mod input;
mod print;
mod prompts;
mod run;
mod shards;
mod unread;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
