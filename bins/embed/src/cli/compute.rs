//! The flags of the computation.

use clap::{Args, ValueEnum};
use embtune_cli::OrtArgs;

/// Where and how the model runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Compute")]
pub(crate) struct ComputeArgs {
    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    /// What the model computes in
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,

    /// Tokens in a batch, padding included [default: 512 on a CPU thread, 32768 on CUDA]
    #[arg(long, value_name = "NUM", value_parser = parse_batch_tokens)]
    pub(crate) batch_tokens: Option<usize>,
}

/// More tokens than any device takes at once.
const MOST_BATCH_TOKENS: usize = 1 << 24;

fn parse_batch_tokens(text: &str) -> Result<usize, String> {
    let tokens = text.parse().ok().filter(|tokens| (1..=MOST_BATCH_TOKENS).contains(tokens));
    tokens.ok_or_else(|| format!("expected a number from 1 to {MOST_BATCH_TOKENS}"))
}

/// What the model computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    /// 32-bit floats, as the reference (TF32 is off on CUDA)
    Fp32,
    /// 16-bit floats; CUDA only
    Fp16,
    /// Linear layers in 8-bit integers, twice as fast; CPU only. A text's vector does not depend on the texts beside it
    Int8,
}

impl From<Precision> for embtune_encode::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::Fp32,
            Precision::Fp16 => Self::Fp16,
            Precision::Int8 => Self::Int8,
        }
    }
}
