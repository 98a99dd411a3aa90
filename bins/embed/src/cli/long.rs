//! The flags of long texts.

use clap::{Args, ValueEnum};

/// What to do about texts that do not fit.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Long texts")]
pub(crate) struct LongArgs {
    /// What becomes of a text with more tokens than the model takes at once
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = OnLong::Truncate)]
    pub(crate) on_long: OnLong,

    /// What is written of a text in chunks [default: mean]
    #[arg(long, value_name = "WHAT", value_enum)]
    chunks: Option<Chunks>,

    /// Tokens that a chunk has in common with the one before [default: an eighth of those that fit]
    #[arg(long, value_name = "NUM")]
    chunk_overlap: Option<usize>,
}

/// What becomes of a text that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnLong {
    /// Its beginning is embedded
    Truncate,
    /// It is a record that cannot be used, see --on-error
    Error,
    /// It is divided into chunks
    Chunk,
}

/// What is written of a text in chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Chunks {
    /// One vector, the mean of the chunks' vectors
    Mean,
    /// A record for each chunk
    Separate,
}

impl LongArgs {
    /// What clap cannot say about flags that do not go together.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        for (flag, is_given) in [("--chunks", self.chunks.is_some()), ("--chunk-overlap", self.chunk_overlap.is_some())]
        {
            anyhow::ensure!(self.on_long == OnLong::Chunk || !is_given, "{flag} is for --on-long chunk");
        }
        Ok(())
    }

    pub(crate) fn chunks(&self) -> Chunks {
        self.chunks.unwrap_or(Chunks::Mean)
    }

    /// Tokens that two chunks have in common, where `room` fit, at most `most`.
    pub(crate) fn overlap(&self, room: usize, most: usize) -> anyhow::Result<usize> {
        let overlap = self.chunk_overlap.unwrap_or(room / 8);
        anyhow::ensure!(
            overlap <= most,
            "--chunk-overlap {overlap} is too much: {room} tokens fit into a chunk, {most} of them may overlap"
        );
        Ok(overlap)
    }
}
