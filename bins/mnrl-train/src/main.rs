//! mnrl-train: fine-tune an embedding model with in-batch negatives.

mod checkpoint;
mod cli;
mod data;
mod dev_set;
mod distributed;
mod export;
mod loss;
mod metrics;
mod network;
mod plan;
mod run;
#[cfg(test)]
mod tests {
    //! The whole engine, compared with the reference and with itself.

    mod exactness;
    mod parity;
}
mod training;
mod weights;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
