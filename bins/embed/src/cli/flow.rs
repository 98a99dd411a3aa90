//! Flags of long runs.

use std::path::PathBuf;

use clap::Args;

use crate::input::shard::Shard;

/// What makes a long run safe, shared among machines, or short.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Long runs")]
pub(crate) struct FlowArgs {
    /// Keep what is computed beside the output until that is whole, and go on where an earlier run broke off
    ///
    /// Give it from the start. The file is .NAME.part beside the output NAME. See Interruptions.
    #[arg(long)]
    pub(crate) resume: bool,

    /// Embed the I-th of every N records only, counted from 1
    #[arg(long, value_name = "I/N")]
    pub(crate) shard: Option<Shard>,

    /// Folder in which vectors are kept, to be used again for the same text
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
}
