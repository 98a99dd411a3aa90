//! mnrl-train: fine-tune an embedding model with in-batch negatives.

mod checkpoint;
mod cli;
mod data;
mod distributed;
mod loss;
mod network;
mod report;
mod run;
mod saved;
#[cfg(test)]
mod tests;
mod training;
mod weights;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
