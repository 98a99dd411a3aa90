//! st2onnx: write model.onnx into a sentence-transformers model directory.

mod cli;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
