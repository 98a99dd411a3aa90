//! mnrl-train: fine-tune an embedding model with in-batch negatives.

mod attention;
mod batch;
mod card;
mod checkpoint;
mod cli;
mod dev;
mod encoder;
mod loss;
mod metrics;
mod packed;
mod parameters;
#[cfg(test)]
mod parity;
mod plan;
mod run;
mod sampler;
mod schedule;
mod shards;
mod tensorboard;
mod trainer;
mod waiting;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
