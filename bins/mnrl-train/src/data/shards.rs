//! All training pairs.

use std::fs;
use std::io::BufRead as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use embtune_cli::{Session, spool_directory};
use embtune_model::ModelDir;
use embtune_tensors::{Column, Shard, matching_files};

use crate::cli::{DataArgs, Supply};
use crate::data::prompts::Prompts;
use crate::distributed::Team;

/// Mapped shards, whose pairs are numbered through.
pub(crate) struct Shards {
    files: Vec<Source>,
    /// Number of the first pair of each file.
    starts: Vec<usize>,
    sets: Vec<Set>,
}

/// A mapped shard.
pub(crate) struct Source {
    pub(crate) shard: Shard,
    /// As messages call it.
    pub(crate) name: String,
}

/// The pairs of an operand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Set {
    pub(crate) pairs: Range<usize>,
    /// How many times an epoch sees them.
    pub(crate) weight: f64,
}

impl Shards {
    /// Opens the operands; none, or `-`, is stdin, which is spooled because a shard has to be mapped. Of token ids each
    /// process reads, and checks, only a part here, and later the rows that it draws.
    ///
    /// # Errors
    /// A shard that is damaged or made for another model, a set without pairs, weights that are not one for each set.
    pub(crate) fn open(args: &DataArgs, model: &ModelDir, team: &Team, session: &Session) -> anyhow::Result<Self> {
        let stdin = [PathBuf::from("-")];
        let operands = if args.sets.is_empty() { &stdin[..] } else { &args.sets };
        let (weights, sets) = (args.weights.len(), operands.len());
        ensure!(weights == 0 || weights == sets, "--weights: {weights} weight(s) for {sets} set(s)");
        let tokenizer = model.tokenizer_fingerprint()?;
        let mut all = Vec::new();
        for (index, operand) in operands.iter().enumerate() {
            let sources: Vec<_> =
                files(operand)?.iter().map(|file| Source::open(file, team, session)).collect::<Result<_, _>>()?;
            sources.iter().try_for_each(|source| source.check(&tokenizer, model))?;
            ensure!(sources.iter().any(|source| source.shard.pairs() > 0), "{}: no training pairs", operand.display());
            all.push((sources, args.weights.get(index).copied().unwrap_or(1.0)));
        }
        Ok(Self::new(all))
    }

    /// Sets of shards, with their weights.
    pub(crate) fn new(sets: Vec<(Vec<Source>, f64)>) -> Self {
        let mut all = Self { files: Vec::new(), starts: Vec::new(), sets: Vec::new() };
        let mut end = 0;
        for (sources, weight) in sets {
            let begin = end;
            for source in sources {
                all.starts.push(end);
                end += source.shard.pairs();
                all.files.push(source);
            }
            all.sets.push(Set { pairs: begin..end, weight });
        }
        all
    }

    /// The prompts of all pairs.
    ///
    /// # Errors
    /// Shards with different ones.
    pub(crate) fn prompts(&self) -> anyhow::Result<Prompts> {
        Prompts::of(&self.files)
    }

    /// Some rows of every column, by what messages call them: the shortest, one from the middle, and the longest of at
    /// most so many tokens.
    ///
    /// # Errors
    /// A row that is damaged.
    pub(crate) fn samples(&self, most_tokens: usize) -> anyhow::Result<Vec<(String, Vec<u32>)>> {
        let mut samples = Vec::new();
        for column in Column::ALL {
            let rows = |file: &Source| {
                if column == Column::Negative { file.shard.negative_rows() } else { file.shard.pairs() }
            };
            let places = || self.files.iter().flat_map(|file| (0..rows(file)).map(move |row| (file, row)));
            let length = |(file, row): &(&Source, usize)| file.shard.length(column, *row);
            let middle = places().nth(places().count() / 2);
            let longest = places().filter(|place| length(place) <= most_tokens).max_by_key(length);
            for (file, row) in
                [places().min_by_key(length), middle.filter(|place| length(place) <= most_tokens), longest]
                    .into_iter()
                    .flatten()
            {
                samples.push((
                    format!("row {row} of \"{}\" in {}", column.name(), file.name),
                    file.shard.tokens(column, row)?,
                ));
            }
        }
        Ok(samples)
    }

    /// Number of pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.sets.last().map_or(0, |set| set.pairs.end)
    }

    /// The sets, in the order of the operands.
    pub(crate) fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// A pair as messages call it, from 1.
    pub(crate) fn name_pair(&self, pair: usize) -> String {
        let file = self.starts.partition_point(|start| *start <= pair) - 1;
        format!("pair {} of {}", pair - self.starts[file] + 1, self.files[file].name)
    }

    /// The shard of a pair, and the pair's number inside it.
    pub(crate) fn find(&self, pair: usize) -> (&Shard, usize) {
        let file = self.starts.partition_point(|start| *start <= pair) - 1;
        (&self.files[file].shard, pair - self.starts[file])
    }

    /// Appends what tells whether a pair shares a text or a document with another.
    pub(crate) fn push_keys(&self, pair: usize, keys: &mut Vec<u64>) {
        let (shard, row) = self.find(pair);
        let negatives = shard.negatives(row).map(|row| (Column::Negative, row));
        for (column, row) in [(Column::Anchor, row), (Column::Positive, row)].into_iter().chain(negatives) {
            let hashes = shard.hashes(column, row);
            if hashes.text != 0 {
                keys.push(hashes.text);
            }
            if hashes.document != 0 {
                // A document that is called like a text is not that text.
                keys.push(!hashes.document);
            }
        }
    }

    /// Number of hard negatives.
    pub(crate) fn negatives(&self) -> usize {
        self.files.iter().map(|file| file.shard.negative_rows()).sum()
    }

    /// What the pairs have beside anchors and positives.
    ///
    /// # Errors
    /// Vectors of different guide models.
    pub(crate) fn supply(&self) -> anyhow::Result<Supply> {
        let labels = self.has_labels();
        Ok(Supply {
            negatives: self.negatives() > 0,
            scores: self.first_without_scores().is_none(),
            labels,
            far: if labels { self.far() } else { 0 },
            guide: self.guide_dimension()?.is_some(),
        })
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
        self.files.iter().map(|file| file.shard.fingerprint()).collect::<Vec<_>>().join("+")
    }

    /// The first pair that lacks the score of one of its documents, as `FILE: pair N`, from 1.
    fn first_without_scores(&self) -> Option<String> {
        let lacks = |shard: &Shard, pair: usize| {
            let negatives = shard.negatives(pair).any(|row| shard.score(Column::Negative, row).is_none());
            negatives || shard.score(Column::Positive, pair).is_none()
        };
        self.files.iter().find_map(|Source { shard, name }| {
            let pair = (0..shard.pairs()).find(|pair| lacks(shard, *pair))?;
            Some(format!("{name}: pair {}", pair + 1))
        })
    }

    /// Whether every positive and negative has a score of 0 or 1.
    fn has_labels(&self) -> bool {
        let is_label = |score: Option<f32>| score.is_some_and(|score| score == 0.0 || score == 1.0);
        self.files.iter().all(|Source { shard, .. }| {
            (0..shard.pairs()).all(|row| is_label(shard.score(Column::Positive, row)))
                && (0..shard.negative_rows()).all(|row| is_label(shard.score(Column::Negative, row)))
        })
    }

    /// Positives with a score of 0.
    fn far(&self) -> usize {
        let is_far = |shard: &Shard, row: &usize| shard.score(Column::Positive, *row) == Some(0.0);
        self.files.iter().map(|Source { shard, .. }| (0..shard.pairs()).filter(|row| is_far(shard, row)).count()).sum()
    }

    /// Elements of the guide model's vectors, if all shards have them.
    ///
    /// # Errors
    /// Vectors of different models: those of one batch are compared with each other.
    fn guide_dimension(&self) -> anyhow::Result<Option<usize>> {
        let guide = |file: &Source| Some((file.shard.guide_dimension()?, file.shard.meta().guide.clone()));
        let Some(guides) = self.files.iter().map(guide).collect::<Option<Vec<_>>>() else { return Ok(None) };
        if let Some(other) = guides.iter().position(|guide| *guide != guides[0]) {
            let (first, other) = (&self.files[0].name, &self.files[other].name);
            anyhow::bail!("{first} and {other} have the vectors of different guide models");
        }
        Ok(Some(guides[0].0))
    }
}

/// The shards of an operand: itself, what it matches as a pattern, or those that `pairs2shards --out` put into a
/// directory.
fn files(operand: &Path) -> anyhow::Result<Vec<PathBuf>> {
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

impl Source {
    fn open(file: &Path, team: &Team, session: &Session) -> anyhow::Result<Self> {
        if file == Path::new("-") {
            return Ok(Self { shard: open_stdin(session)?, name: "<stdin>".into() });
        }
        Ok(Self { shard: Shard::open_part(file, team.rank(), team.size())?, name: file.display().to_string() })
    }

    /// Refuses a shard that this model cannot be trained on.
    fn check(&self, tokenizer: &str, model: &ModelDir) -> anyhow::Result<()> {
        let (meta, name) = (self.shard.meta(), &self.name);
        ensure!(
            meta.tokenizer == tokenizer,
            "{name}: was made with another tokenizer than the model's\nhint: run pairs2shards with --model {}",
            model.root().display()
        );
        let (longest, most) = (meta.query_max_length.max(meta.document_max_length), model.config().max_length());
        ensure!(longest <= most, "{name}: has texts of {longest} tokens, the model takes {most}");
        for column in Column::ALL {
            let (rows, most) = match column {
                Column::Anchor => (self.shard.pairs(), meta.query_max_length),
                Column::Positive => (self.shard.pairs(), meta.document_max_length),
                Column::Negative => (self.shard.negative_rows(), meta.document_max_length),
            };
            if let Some(row) = (0..rows).find(|row| self.shard.length(column, *row) > most) {
                let (length, column) = (self.shard.length(column, row), column.name());
                bail!(
                    "{name}: row {row} of \"{column}\" has {length} tokens, and the shard says that they were cut at {most}"
                );
            }
        }
        let (ids, embeddings) = (meta.vocab_size, model.config().vocab_size());
        ensure!(ids <= embeddings, "{name}: has token ids below {ids}, the model has {embeddings} word embeddings");
        Ok(())
    }
}

/// Where the header of safetensors begins, after its length.
const HEADER_AT: usize = 8;

/// Copies stdin to an unnamed temporary file, which can be mapped.
fn open_stdin(session: &Session) -> anyhow::Result<Shard> {
    let mut input = session.input(Path::new("-"))?;
    // Anything else may have no end.
    let begin = input.fill_buf().context("<stdin>")?;
    ensure!(begin.get(HEADER_AT).is_none_or(|byte| *byte == b'{'), "<stdin>: not a safetensors file");
    let copy = session.copy(input, &spool_directory(None))?;
    Ok(Shard::of_file(&copy.file()?, copy.name())?)
}
