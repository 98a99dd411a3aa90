//! Writing one shard, or a directory of shards.

use std::mem;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::{AtomicDir, Output, Session, spool_directory};
use embtune_tensors::{Hashes, ShardMeta, ShardRow, ShardWriter};
use embtune_tokenize::Tokens;
use xxhash_rust::xxh3::xxh3_64;

use crate::guide::{Guide, GuideVectors};
use crate::tokenize::TrainingPair;

/// The ISO 639-3 code of an undetermined language.
const UNDETERMINED: &str = "und";

/// Where the shards go.
pub(crate) enum Target<'a> {
    /// One shard in a file or on stdout.
    File(Option<&'a Path>),
    /// Shards of a number of pairs in a directory, which appears when all are written: `train-00000.safetensors` and so
    /// on.
    Directory(&'a Path, usize),
}

/// Writes tokenised pairs.
pub(crate) struct Shards<'a> {
    guide: Option<&'a Guide<'a>>,
    output: ShardOutput,
    spool: PathBuf,
    writer: ShardWriter,
    /// Metadata of the current shard.
    meta: ShardMeta,
    /// Texts that were cut, by column.
    cut: [u64; 3],
}

enum ShardOutput {
    One(Output),
    Many { directory: AtomicDir, name: PathBuf, pairs_each: usize, written: usize },
}

impl<'a> Shards<'a> {
    /// Opens the output.
    ///
    /// # Errors
    /// A terminal, a directory that exists already, a disk that cannot be written.
    pub(crate) fn create(
        target: Target<'_>,
        meta: ShardMeta,
        guide: Option<&'a Guide<'a>>,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let (output, spool) = match target {
            Target::File(path) => {
                let out = session.output(path)?;
                anyhow::ensure!(
                    !out.is_terminal(),
                    "binary output to a terminal\nhint: name a file with -o, or pipe it into mnrl-train"
                );
                (ShardOutput::One(out), spool_directory(path))
            }
            Target::Directory(name, pairs_each) => {
                // mnrl-train would train on the shards of an older run as well.
                anyhow::ensure!(
                    AtomicDir::is_vacant(name),
                    "{}: exists already\nhint: remove it, or name another directory",
                    name.display()
                );
                let directory = AtomicDir::create(name).with_context(|| name.display().to_string())?;
                if let Some(slow) = directory.slow() {
                    session.notice(format!("{}: {slow}", name.display()));
                }
                let spool = directory.path().to_owned();
                (ShardOutput::Many { directory, name: name.to_owned(), pairs_each, written: 0 }, spool)
            }
        };
        let writer = ShardWriter::new(&spool, guide.map(Guide::dimension))?;
        Ok(Self { guide, output, writer, spool, meta, cut: [0; 3] })
    }

    /// Changes the query prompt of the shards that are not written yet.
    pub(crate) fn set_query_prompt(&mut self, prompt: &str) {
        self.meta.query_prompt = prompt.to_owned();
    }

    /// Appends pairs with their tokens.
    pub(crate) fn push(
        &mut self,
        pairs: &[TrainingPair],
        [anchors, positives, negatives]: &[Vec<Tokens>; 3],
    ) -> anyhow::Result<()> {
        let mut negatives = negatives.iter();
        for ((TrainingPair { pair, guide, languages }, anchor), positive) in pairs.iter().zip(anchors).zip(positives) {
            let vectors = match (self.guide, guide) {
                (Some(guide), Some(rows)) => guide.read(rows)?,
                _ => GuideVectors::default(),
            };
            let score = |document: usize| pair.scores.as_ref().map(|scores| scores[document] as f32);
            let mut cut = [u64::from(anchor.truncated), u64::from(positive.truncated), 0];
            let rows: Vec<_> = (0..)
                .zip(&pair.negatives)
                .zip(negatives.by_ref())
                .map(|((index, text), tokens): ((usize, &String), &Tokens)| {
                    cut[2] += u64::from(tokens.truncated);
                    let document = pair.negative_ids.as_ref().and_then(|ids| ids.get(index)).map(String::as_str);
                    ShardRow {
                        tokens: &tokens.ids,
                        hashes: hashes(text, document, pair.negative_group_or_id(index)),
                        score: score(1 + index),
                        guide: vectors.negatives.get(index).map_or(&[], |vector| vector),
                    }
                })
                .collect();
            let hashes_of_positive = hashes(&pair.positive, pair.positive_id.as_deref(), pair.group_or_positive_id());
            let row = |tokens, hashes, score, guide| ShardRow { tokens, hashes, score, guide };
            self.writer.push(
                row(&anchor.ids, hashes(&pair.anchor, None, None), None, &vectors.anchor),
                row(&positive.ids, hashes_of_positive, score(0), &vectors.positive),
                rows,
            )?;
            self.meta.truncated += cut.iter().sum::<u64>();
            self.cut.iter_mut().zip(cut).for_each(|(all, cut)| *all += cut);
            let tables = [&mut self.meta.query_languages, &mut self.meta.document_languages];
            for (table, language) in tables.into_iter().zip(languages.iter().flatten()) {
                let code = language.map_or(UNDETERMINED.into(), |language| language.to_string());
                *table.entry(code).or_default() += 1;
            }
            if let ShardOutput::Many { pairs_each, .. } = self.output
                && self.writer.pairs() == pairs_each
            {
                self.write_numbered()?;
            }
        }
        Ok(())
    }

    /// Writes the last shard.
    pub(crate) fn finish(mut self) -> anyhow::Result<(usize, [u64; 3])> {
        if let ShardOutput::Many { written, .. } = self.output
            && (self.writer.pairs() > 0 || written == 0)
        {
            self.write_numbered()?;
        }
        match self.output {
            ShardOutput::One(mut out) => {
                self.writer.finish(self.meta, &mut out)?;
                out.finish()?;
                Ok((1, self.cut))
            }
            ShardOutput::Many { directory, name, written, .. } => {
                directory.commit().with_context(|| name.display().to_string())?;
                Ok((written, self.cut))
            }
        }
    }

    fn write_numbered(&mut self) -> anyhow::Result<()> {
        let ShardOutput::Many { directory, written, .. } = &mut self.output else { return Ok(()) };
        let mut out = directory.output(&format!("train-{written:05}.safetensors"))?;
        *written += 1;
        let next = ShardWriter::new(&self.spool, self.guide.map(Guide::dimension))?;
        mem::replace(&mut self.writer, next).finish(self.meta.clone(), &mut out)?;
        self.meta.truncated = 0;
        self.meta.query_languages.clear();
        self.meta.document_languages.clear();
        Ok(out.finish()?)
    }
}

/// Hashes of a text; an absent id hashes to 0, which equals nothing.
fn hashes(text: &str, document: Option<&str>, group: Option<&str>) -> Hashes {
    let id = |id: Option<&str>| id.map_or(0, |id| xxh3_64(id.as_bytes()).max(1));
    Hashes { text: xxh3_64(text.as_bytes()).max(1), document: id(document), group: id(group) }
}
