//! mnrl-train: fine-tune an embedding model with in-batch negatives.

mod batch;
mod card;
mod checkpoint;
mod cli;
mod course;
mod dev;
mod environment;
#[cfg(test)]
mod exactness;
mod false_negatives;
mod grad_cache;
mod groups;
mod keys;
mod learner;
mod lora;
mod loss;
mod memory;
mod merge;
mod metrics;
mod network;
mod parameters;
#[cfg(test)]
mod parity;
mod plan;
mod run;
mod sampler;
mod schedule;
mod settings;
mod shards;
mod tensorboard;
mod trainer;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
