//! One shard, or a directory of them.

use std::collections::BTreeMap;
use std::mem;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embtune_cli::{AtomicDir, Output, Session, spool_directory};
use embtune_records::Pair;
use embtune_tensors::{ShardMeta, ShardRow, ShardWriter};
use embtune_text::Language;
use embtune_tokenize::Tokens;

use crate::columns::{Window, hashes};
use crate::guide::{Guide, Rows, Vectors};

/// The code of ISO 639-3 for a language that cannot be told.
const UNDETERMINED: &str = "und";

/// A pair that goes into a shard.
pub(crate) struct Job {
    pub(crate) pair: Pair,
    /// Its vectors, where there is a guide.
    pub(crate) guide: Option<Rows>,
    /// Of anchor and positive, where the pair is of the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
}

/// Where tokenised pairs go.
pub(crate) struct Shards<'a> {
    guide: Option<&'a Guide<'a>>,
    target: Target,
    spool: PathBuf,
    writer: ShardWriter,
    /// What the shard that is being written says of itself.
    meta: ShardMeta,
    /// Texts that were cut, by column.
    cut: [u64; 3],
}

/// What was written.
pub(crate) struct Written {
    pub(crate) shards: usize,
    /// Texts that were cut, by column.
    pub(crate) cut: [u64; 3],
}

enum Target {
    One(Output),
    Many { directory: AtomicDir, name: PathBuf, pairs_each: usize, written: usize },
}

impl<'a> Shards<'a> {
    /// One shard in a file or on stdout.
    pub(crate) fn one(
        output: Option<&Path>,
        meta: ShardMeta,
        guide: Option<&'a Guide<'a>>,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let out = session.output(output)?;
        anyhow::ensure!(
            !out.is_terminal(),
            "binary output to a terminal\nhint: name a file with -o, or pipe it into mnrl-train"
        );
        let spool = spool_directory(output);
        Self::new(Target::One(out), spool, meta, guide)
    }

    /// Shards of a number of pairs in a directory, which appears when all are there: `train-00000.safetensors` and so on.
    pub(crate) fn many(
        name: &Path,
        pairs_each: usize,
        meta: ShardMeta,
        guide: Option<&'a Guide<'a>>,
        session: &Session,
    ) -> anyhow::Result<Self> {
        // Shards of an older run would be trained on together with the new ones.
        let is_free = AtomicDir::is_vacant(name);
        anyhow::ensure!(is_free, "{}: exists already\nhint: remove it, or name another directory", name.display());
        let directory = AtomicDir::create(name).with_context(|| name.display().to_string())?;
        if let Some(slow) = directory.slow() {
            session.notice(format!("{}: {slow}", name.display()));
        }
        let (spool, name) = (directory.path().to_owned(), name.to_owned());
        Self::new(Target::Many { directory, name, pairs_each, written: 0 }, spool, meta, guide)
    }

    fn new(target: Target, spool: PathBuf, meta: ShardMeta, guide: Option<&'a Guide<'a>>) -> anyhow::Result<Self> {
        let writer = ShardWriter::new(&spool, guide.map(Guide::dimension))?;
        Ok(Self { guide, target, writer, spool, meta, cut: [0; 3] })
    }

    /// Notes what goes before each anchor of the shards that are not written yet.
    pub(crate) fn set_query_prompt(&mut self, prompt: &str) {
        self.meta.query_prompt = prompt.to_owned();
    }

    pub(crate) fn push(&mut self, jobs: &[Job], tokens: &Window) -> anyhow::Result<()> {
        let mut negatives = tokens.negatives.iter();
        for ((Job { pair, guide, languages }, anchor), positive) in
            jobs.iter().zip(&tokens.anchors).zip(&tokens.positives)
        {
            let vectors = match (self.guide, guide) {
                (Some(guide), Some(rows)) => guide.read(rows)?,
                _ => Vectors::default(),
            };
            let score = |document: usize| pair.scores.as_ref().map(|scores| scores[document] as f32);
            let group = pair.group_or_positive_id();
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
            let hashes_of_positive = hashes(&pair.positive, pair.positive_id.as_deref(), group);
            let hashes_of_anchor = hashes(&pair.anchor, None, None);
            self.writer.push(
                ShardRow { tokens: &anchor.ids, hashes: hashes_of_anchor, score: None, guide: &vectors.anchor },
                ShardRow {
                    tokens: &positive.ids,
                    hashes: hashes_of_positive,
                    score: score(0),
                    guide: &vectors.positive,
                },
                rows,
            )?;
            self.meta.truncated += cut.iter().sum::<u64>();
            self.cut.iter_mut().zip(cut).for_each(|(all, cut)| *all += cut);
            let tables = [&mut self.meta.query_languages, &mut self.meta.document_languages];
            for (table, language) in tables.into_iter().zip(languages.iter().flatten()) {
                let code = language.map_or(UNDETERMINED.into(), |language| language.to_string());
                *table.entry(code).or_default() += 1;
            }
            if let Target::Many { pairs_each, .. } = self.target
                && self.writer.pairs() == pairs_each
            {
                self.write_numbered()?;
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> anyhow::Result<Written> {
        if let Target::Many { written, .. } = self.target
            && (self.writer.pairs() > 0 || written == 0)
        {
            self.write_numbered()?;
        }
        match self.target {
            Target::One(mut out) => {
                self.writer.finish(self.meta, &mut out)?;
                out.finish()?;
                Ok(Written { shards: 1, cut: self.cut })
            }
            Target::Many { directory, name, written, .. } => {
                directory.commit().with_context(|| name.display().to_string())?;
                Ok(Written { shards: written, cut: self.cut })
            }
        }
    }

    fn write_numbered(&mut self) -> anyhow::Result<()> {
        let Target::Many { directory, written, .. } = &mut self.target else { return Ok(()) };
        let mut out = directory.output(&format!("train-{written:05}.safetensors"))?;
        *written += 1;
        let next = ShardWriter::new(&self.spool, self.guide.map(Guide::dimension))?;
        mem::replace(&mut self.writer, next).finish(self.meta.clone(), &mut out)?;
        let none = BTreeMap::new;
        self.meta =
            ShardMeta { truncated: 0, query_languages: none(), document_languages: none(), ..self.meta.clone() };
        Ok(out.finish()?)
    }
}
