//! All training pairs.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::Session;
use embtune_model::ModelDir;
use embtune_tensors::{Column, Shard};
use tempfile::NamedTempFile;

use crate::cli::Supply;

/// Mapped shards, whose pairs are numbered through.
pub(crate) struct Shards {
    shards: Vec<Shard>,
    /// Number of the first pair of each shard.
    starts: Vec<usize>,
    pairs: usize,
}

impl Shards {
    /// Opens the operands; none, or `-`, is stdin, which is spooled because a shard has to be mapped.
    pub(crate) fn open(files: &[PathBuf], model: &ModelDir, session: &Session) -> anyhow::Result<Self> {
        let stdin = [PathBuf::from("-")];
        let files = if files.is_empty() { &stdin } else { files };
        let tokenizer = model.tokenizer_fingerprint()?;
        let mut all = Self { shards: Vec::new(), starts: Vec::new(), pairs: 0 };
        for file in files {
            let shard = if file == Path::new("-") { open_stdin(session)? } else { Shard::open(file)? };
            anyhow::ensure!(
                shard.meta().tokenizer == tokenizer,
                "{}: was made with another tokenizer than the model's\nhint: run pairs2shards with --model {}",
                file.display(),
                model.root().display()
            );
            let longest = shard.meta().query_max_length.max(shard.meta().document_max_length);
            let most = model.config().max_length();
            anyhow::ensure!(
                longest <= most,
                "{}: has texts of {longest} tokens, the model takes {most}",
                file.display()
            );
            all.starts.push(all.pairs);
            all.pairs += shard.pairs();
            all.shards.push(shard);
        }
        anyhow::ensure!(all.pairs > 0, "{}: no training pairs", files[0].display());
        Ok(all)
    }

    /// Number of pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.pairs
    }

    /// Number of hard negatives.
    pub(crate) fn negatives(&self) -> usize {
        self.shards.iter().map(Shard::negative_rows).sum()
    }

    /// What every pair has beside an anchor and a positive.
    pub(crate) fn supply(&self) -> Supply {
        let has_scores = |shard: &Shard| {
            let scored = |column, mut rows: Range<usize>| rows.all(|row| shard.score(column, row).is_some());
            scored(Column::Positive, 0..shard.pairs()) && scored(Column::Negative, 0..shard.negative_rows())
        };
        Supply {
            negatives: self.negatives() > 0,
            scores: self.shards.iter().all(has_scores),
            guide: self.shards.iter().all(|shard| shard.guide_dimension().is_some()),
        }
    }

    /// Tokens of every row of some pairs.
    pub(crate) fn lengths(&self, pairs: &[usize]) -> Vec<usize> {
        let mut lengths = Vec::new();
        for (shard, row) in pairs.iter().map(|pair| self.find(*pair)) {
            lengths.extend([Column::Anchor, Column::Positive].map(|column| shard.length(column, row)));
            lengths.extend(shard.negatives(row).map(|row| shard.length(Column::Negative, row)));
        }
        lengths
    }

    /// Names the content of all shards.
    pub(crate) fn fingerprint(&self) -> String {
        self.shards.iter().map(Shard::fingerprint).collect::<Vec<_>>().join("+")
    }

    /// The shard of a pair, and the pair's number inside it.
    pub(crate) fn find(&self, pair: usize) -> (&Shard, usize) {
        let shard = self.starts.partition_point(|start| *start <= pair) - 1;
        (&self.shards[shard], pair - self.starts[shard])
    }
}

/// Copies stdin to a temporary file, which stays mapped after it is removed.
fn open_stdin(session: &Session) -> anyhow::Result<Shard> {
    let mut spool = NamedTempFile::new().context("temporary file for stdin")?;
    for mut input in session.inputs(&[PathBuf::from("-")])? {
        io::copy(&mut input, spool.as_file_mut()).context("<stdin>")?;
    }
    File::sync_data(spool.as_file()).context("temporary file for stdin")?;
    Shard::open(spool.path()).map_err(|error| anyhow::anyhow!("<stdin>: {error}"))
}
