//! A shard, opened from a file or from stdin.

use std::fs;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Session, spool_directory};
use embtune_model::ModelDir;
use embtune_tensors::{Column, Shard, matching_files};

/// Where the header of a safetensors file begins: after its length.
const HEADER_AT: usize = 8;

/// A memory-mapped shard.
pub(crate) struct ShardFile {
    pub(crate) shard: Shard,
    /// Its name in messages.
    pub(crate) name: String,
}

impl ShardFile {
    /// Opens a file, or stdin for `-`. Only a part of the token ids is checked, the one of this rank.
    pub(super) fn open(file: &Path, rank: usize, world_size: usize, session: &Session) -> anyhow::Result<Self> {
        if file == Path::new("-") {
            return Ok(Self { shard: open_stdin(session)?, name: "<stdin>".into() });
        }
        Ok(Self { shard: Shard::open_part(file, rank, world_size)?, name: file.display().to_string() })
    }

    /// Refuses a shard that this model cannot be trained on.
    pub(super) fn check(&self, tokenizer: &str, model: &ModelDir) -> anyhow::Result<()> {
        let (meta, name) = (self.shard.meta(), &self.name);
        ensure!(
            meta.tokenizer == tokenizer,
            "{name}: was made with another tokenizer than the model's\nhint: run pairs2shards with --model {}",
            model.root().display()
        );
        let (longest, most) = (meta.query_max_length.max(meta.document_max_length), model.config().max_length);
        ensure!(longest <= most, "{name}: has texts of {longest} tokens, but the model takes at most {most}");
        for column in Column::ALL {
            let (rows, most) = match column {
                Column::Anchor => (self.shard.pairs(), meta.query_max_length),
                Column::Positive => (self.shard.pairs(), meta.document_max_length),
                Column::Negative => (self.shard.negative_rows(), meta.document_max_length),
            };
            if let Some(row) = (0..rows).find(|row| self.shard.length(column, *row) > most) {
                let (length, column) = (self.shard.length(column, row), column.name());
                bail!(
                    "{name}: row {row} of \"{column}\" has {length} tokens, but according to its metadata rows were truncated to {most}"
                );
            }
        }
        let (ids, embeddings) = (meta.vocab_size, model.config().vocab_size);
        ensure!(
            ids <= embeddings,
            "{name}: has token ids up to {ids}, but the model has only {embeddings} word embeddings"
        );
        Ok(())
    }
}

/// The shards of an operand: the file itself, the files that match it as a pattern, or those in a directory that
/// `pairs2shards --out` wrote.
pub(super) fn files(operand: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !operand.is_dir() {
        return Ok(matching_files(operand)?);
    }
    let name = operand.display();
    let mut files = Vec::new();
    for entry in fs::read_dir(operand).with_context(|| name.to_string())? {
        let path = entry.with_context(|| name.to_string())?.path();
        let is_shard = |name: &str| name.starts_with("train-") && name.ends_with(".safetensors");
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_shard) {
            files.push(path);
        }
    }
    files.sort();
    ensure!(
        !files.is_empty(),
        "{name}: no shards in this directory (train-*.safetensors)\nhint: pairs2shards --out {name} writes them"
    );
    Ok(files)
}

/// Copies stdin to an unnamed temporary file, which can be mapped.
fn open_stdin(session: &Session) -> anyhow::Result<Shard> {
    let mut input = session.input(Path::new("-"))?;
    // Anything else is refused before it is copied: it might never end.
    let begin = input.fill_buf().context("<stdin>")?;
    ensure!(begin.get(HEADER_AT).is_none_or(|byte| *byte == b'{'), "<stdin>: not a safetensors file");
    let copy = session.copy(input, &spool_directory(None))?;
    Ok(Shard::of_file(&copy.file()?, copy.name())?)
}
