//! The flags of embed.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use embtune_cli::{Common, ModelArgs, OrtArgs, RecordArgs};

use crate::flow_args::FlowArgs;
use crate::format::{Dtype, Format};

const SECTIONS: &str = "\
Memory:
  The model, and a window of 4,096 records or 32 MB of text, whichever is less. Vectors of a binary
  format wait in an unnamed temporary file beside the output (in TMPDIR for stdout), because the
  header, which comes first, holds their number; 8 bytes an id are kept to refuse double ids.

Examples:
  Embed a corpus into a file of vectors:
      embed --model BASE --role document corpus.jsonl -o corpus.safetensors
  One line of text, as JSON:
      echo 'notice period' | embed --model BASE --role query --text
  Read vectors in Python:
      safetensors.numpy.load_file('corpus.safetensors')['embeddings']";

/// Turn texts into vectors
///
/// Reads documents or queries as JSON Lines ({"_id", "title"?, "text"}, as BEIR has them) or lines of text, and
/// writes one vector for each, in the same order. Pooling, normalisation, prompts and the length at which texts are
/// cut come from the model directory. A document's title is put before its text.
#[derive(Debug, Parser)]
#[command(name = "embed", version, after_long_help = SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    /// What the texts are for: takes the model's own prompt
    #[arg(long, value_name = "ROLE", value_enum, help_heading = "Model")]
    pub(crate) role: Option<Role>,

    /// Text to put before each text, instead of the model's own
    #[arg(long, value_name = "TEXT", help_heading = "Model")]
    pub(crate) prompt: Option<String>,

    /// Tokens at which a text is cut [default: the model's]
    #[arg(long, value_name = "NUM", help_heading = "Model")]
    pub(crate) max_seq_length: Option<usize>,

    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Read lines of text; their ids are the line numbers
    #[arg(long, help_heading = "Input")]
    pub(crate) text: bool,

    /// Output file; - is stdout
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,

    /// Form of the output [default: by the file's name; jsonl to stdout, safetensors to a file]
    #[arg(long, value_name = "FORM", value_enum, help_heading = "Output")]
    pub(crate) format: Option<Format>,

    /// Type of the numbers in a binary output
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Dtype::F32, help_heading = "Output")]
    pub(crate) dtype: Dtype,

    #[command(flatten)]
    pub(crate) flow: FlowArgs,

    #[command(flatten)]
    pub(crate) compute: OrtArgs,

    /// What the model computes in
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32, help_heading = "Compute")]
    pub(crate) precision: Precision,

    /// Tokens in a batch, padding included [default: 512 on a CPU thread, 32768 on CUDA]
    #[arg(long, value_name = "NUM", help_heading = "Compute")]
    pub(crate) batch_tokens: Option<usize>,

    #[command(flatten)]
    pub(crate) common: Common,
}

/// What texts are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Search queries
    Query,
    /// Documents that are searched
    Document,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Document => "document",
        }
    }
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

impl From<Role> for embtune_model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Query => Self::Query,
            Role::Document => Self::Document,
        }
    }
}

embtune_cli::filter!(Cli);
