//! The command line.

mod help;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser};
use embtune_cli::{CommonArgs, ModelArgs, OrtArgs, RecordArgs};

use crate::input::InputShard;
use crate::long_texts::{ChunkOutput, OnLong};
use crate::model::{Precision, Role};
use crate::output::{Dtype, Format};

/// Turn texts into vectors
///
/// Reads documents or queries as JSON Lines ({"_id", "title"?, "text"}, as in BEIR) or lines of text, and writes a
/// vector for each, in the same order. Pooling, normalisation, prompts and the length at which texts are cut come from
/// the model directory. A document's title is put before its text.
#[derive(Debug, Parser)]
#[command(name = "embed", version, after_long_help = help::SECTIONS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) model: ModelArgs,

    #[command(flatten)]
    pub(crate) text: TextArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) long: LongArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) verify: VerifyArgs,

    #[command(flatten)]
    pub(crate) compute: ComputeArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Flags for prompts and the length at which texts are cut.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct TextArgs {
    /// Purpose of the texts
    ///
    /// It selects the model's prompt. Without a role, the model's default prompt is used (default_prompt_name), if it
    /// has one.
    #[arg(long, value_name = "ROLE", value_enum)]
    pub(crate) role: Option<Role>,

    /// Text to put before each text, instead of the model's own prompt
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub(crate) prompt: Option<String>,

    /// Maximum number of tokens of a text, special tokens included [default: the model's]
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) max_seq_length: Option<usize>,
}

/// Input flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Field to embed, instead of title and text
    ///
    /// May be given several times: the fields are joined by a space, in this order, without empty ones.
    #[arg(long = "field", value_name = "NAME", conflicts_with = "text")]
    pub(crate) fields: Vec<String>,

    /// Field with the id, instead of _id
    ///
    /// --id anchor_id with --field anchor embeds the queries of pairs.
    #[arg(long, value_name = "NAME", conflicts_with = "text")]
    pub(crate) id: Option<String>,

    /// Read lines of text; their ids are the line numbers
    #[arg(long)]
    pub(crate) text: bool,

    /// Let texts end with a NUL byte instead of a newline
    #[arg(short = '0', long, requires = "text", hide_short_help = true)]
    pub(crate) null: bool,

    /// Embed only the I-th of every N records, counted from 1
    #[arg(long, value_name = "I/N", hide_short_help = true)]
    pub(crate) shard: Option<InputShard>,
}

/// Flags for texts that are too long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Long texts")]
pub(crate) struct LongArgs {
    /// What to do with a text that is too long
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnLong::Truncate, hide_short_help = true)]
    pub(crate) on_long: OnLong,

    /// What to write for a text that was divided into chunks [default: mean]
    #[arg(long, value_name = "WHAT", value_enum, hide_short_help = true)]
    pub(crate) chunks: Option<ChunkOutput>,

    /// Number of tokens that a chunk shares with the one before [default: an eighth of those that fit]
    #[arg(long, value_name = "NUM", hide_short_help = true)]
    pub(crate) chunk_overlap: Option<usize>,
}

/// Output flags.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Output file, whose extension is .jsonl, .safetensors or .npy; - is stdout
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,

    /// Format of the output [default: by the file's extension; jsonl to stdout, else safetensors]
    #[arg(long, value_name = "FORM", value_enum, hide_short_help = true)]
    pub(crate) format: Option<Format>,

    /// Number format of the vectors
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Dtype::F32)]
    pub(crate) dtype: Dtype,

    /// Write only the first elements of each vector
    ///
    /// For models that were trained for it (Matryoshka). Vectors of length 1 are scaled to length 1 again.
    #[arg(long, value_name = "NUM")]
    pub(crate) truncate_dim: Option<NonZeroUsize>,

    /// Do not scale vectors to length 1, even if the model does
    #[arg(long, hide_short_help = true)]
    pub(crate) no_normalize: bool,

    /// Continue an interrupted run
    ///
    /// Use it from the first run on. The vectors are kept in .NAME.part beside the output NAME until the output is
    /// complete. See Interruptions.
    #[arg(long)]
    pub(crate) resume: bool,

    /// Folder that keeps vectors, which are reused for the same text
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}

/// Flags for comparing vectors with a reference.
#[derive(Debug, Args)]
#[command(next_help_heading = "Verification")]
pub(crate) struct VerifyArgs {
    /// Compare the vectors with those of this file, instead of writing them
    #[arg(long = "verify", value_name = "REFERENCE", conflicts_with = "format", hide_short_help = true)]
    pub(crate) reference: Option<PathBuf>,

    /// Lowest cosine that passes
    #[arg(long, value_name = "COSINE", default_value_t = 0.9999, value_parser = parse_cosine, requires = "reference")]
    #[arg(hide_short_help = true)]
    pub(crate) min_cosine: f64,
}

fn parse_cosine(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cosine) if (-1.0..=1.0).contains(&cosine) => Ok(cosine),
        _ => Err("expected a number from -1 to 1".into()),
    }
}

/// Where and how the model runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compute")]
pub(crate) struct ComputeArgs {
    #[command(flatten)]
    pub(crate) ort: OrtArgs,

    /// Precision of the model
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = Precision::Fp32)]
    pub(crate) precision: Precision,

    /// Maximum number of tokens in a batch, padding included [default: 512 for each CPU thread, 32768 on CUDA]
    #[arg(long, value_name = "NUM", value_parser = parse_batch_tokens, hide_short_help = true)]
    pub(crate) batch_tokens: Option<usize>,
}

/// More tokens than any device takes at once.
const MAX_BATCH_TOKENS: usize = 1 << 24;

fn parse_batch_tokens(text: &str) -> Result<usize, String> {
    let tokens = text.parse().ok().filter(|tokens| (1..=MAX_BATCH_TOKENS).contains(tokens));
    tokens.ok_or_else(|| format!("expected a number from 1 to {MAX_BATCH_TOKENS}"))
}

embtune_cli::filter!(Cli {
    unit: "window",
    example: "embed --model BASE --role document corpus.jsonl -o corpus.safetensors",
});

#[cfg(test)]
mod tests {
    use super::parse_cosine;

    #[test]
    fn cosines_have_bounds() {
        assert_eq!((parse_cosine("0.99"), parse_cosine("-1")), (Ok(0.99), Ok(-1.0)));
        for bad in ["", "x", "1.1", "NaN", "inf"] {
            assert!(parse_cosine(bad).is_err(), "{bad}");
        }
    }
}
