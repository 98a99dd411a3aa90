//! Measures retrieval and compares systems.

mod cli;
mod compare;
mod evaluate;
mod examine;
mod machine;
mod report;
mod retrieve;
mod run;
mod run_file;
mod system;
mod table;
mod vectors;
mod verdict;

use std::process::ExitCode;

fn main() -> ExitCode {
    embtune_cli::main(run::run)
}
