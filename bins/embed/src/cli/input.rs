//! The flags of the input.

use clap::Args;
use embtune_cli::RecordArgs;

/// What is read.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    #[command(flatten)]
    pub(crate) records: RecordArgs,

    /// Field to embed, instead of title and text; several are joined by a blank, in this order, without empty ones
    #[arg(long = "field", value_name = "NAME", conflicts_with = "text")]
    pub(crate) fields: Vec<String>,

    /// Field whose value becomes the id, instead of _id: anchor_id with --field anchor embeds the queries of pairs
    #[arg(long, value_name = "NAME", conflicts_with = "text")]
    pub(crate) id: Option<String>,

    /// Read lines of text; their ids are the line numbers
    #[arg(long)]
    pub(crate) text: bool,

    /// Let texts end with a NUL byte instead of a line end
    #[arg(short = '0', long, requires = "text")]
    pub(crate) null: bool,
}
