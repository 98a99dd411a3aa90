//! Flags of filters that run a model.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use clap::Args;

use crate::Device;

/// Where and how wide a model runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ComputeArgs {
    /// Where the model runs: auto, cpu, cuda or cuda:N
    ///
    /// `auto` takes CUDA when its driver and libraries load, else the CPU, and says which. `cuda` that cannot run is
    /// an error.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Device,

    /// How wide.
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// How wide a filter runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct ThreadArgs {
    /// Number of CPU threads [default: all cores]
    #[arg(long, value_name = "NUM", value_parser = parse_threads)]
    threads: Option<NonZeroUsize>,
}

/// More than machines have cores; every thread takes memory.
const MOST_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST_THREADS);
    number.ok_or_else(|| format!("expected a number from 1 to {MOST_THREADS}"))
}

impl ThreadArgs {
    /// Number of CPU threads.
    pub fn count(&self) -> usize {
        self.share(1)
    }

    /// Number of CPU threads of each of several processes that share the machine.
    pub fn share(&self, processes: usize) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or_else(|| (cores() / processes.max(1)).max(1), NonZeroUsize::get)
    }
}

/// The flag that every filter with ONNX Runtime has.
pub(crate) const ORT_LIBRARY: &str = "ort_library";

/// [`ComputeArgs`] of a filter that uses ONNX Runtime.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub struct OrtArgs {
    /// Where and how wide.
    #[command(flatten)]
    pub compute: ComputeArgs,

    /// ONNX Runtime's library [default: beside the program, then where make deps put it]
    #[arg(id = ORT_LIBRARY, long = "ort-library", value_name = "FILE", env = "ORT_DYLIB_PATH", hide_short_help = true)]
    pub ort_library: Option<PathBuf>,
}
