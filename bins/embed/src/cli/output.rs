//! The flags of the output.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use crate::sink::format::{Dtype, Format};

/// What is written, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Output file; - is stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Form of the output [default: by the file's name; jsonl to stdout, safetensors to a file]
    #[arg(long, value_name = "FORM", value_enum)]
    pub(crate) format: Option<Format>,

    /// Type of the numbers
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,

    /// Write the first elements of each vector only, for models that were trained for it (Matryoshka); vectors of length
    /// 1 get that length again
    #[arg(long, value_name = "NUM")]
    pub(crate) truncate_dim: Option<NonZeroUsize>,

    /// Leave the vectors' lengths as the pooling gives them, also where the model makes them 1
    #[arg(long)]
    pub(crate) no_normalize: bool,
}

impl OutputArgs {
    /// How vectors are written.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or_else(|| Format::of(self.path.as_deref()))
    }
}
