//! The flags of the output.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use embtune_cli::{is_stream, output_format};

use crate::sink::format::{Dtype, Format};

/// What is written, and where.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Output file; - is stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Form of the output [default: what the file's name ends in; jsonl to stdout, else safetensors]
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
    ///
    /// # Errors
    /// A file's name that promises another form.
    pub(crate) fn format(&self) -> anyhow::Result<Format> {
        output_format(self.format, self.path.as_deref(), Format::Jsonl, Format::Safetensors)
    }

    /// The output, if it is a file, beside which there may be others.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| !is_stream(Some(path)))
    }
}
