//! All training pairs, from the shards of all operands.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use embtune_cli::Session;
use embtune_model::ModelDir;
use embtune_tensors::{Column, Shard};
use serde::Serialize;

use super::prompts::Prompts;
pub(crate) use super::shard_file::ShardFile;
use super::shard_file::files;
use crate::distributed::RankInfo;
use crate::loss::ShardColumns;

/// The training data.
#[derive(Debug, Clone, Args, Serialize)]
pub(crate) struct SetArgs {
    /// Shards, 'patterns', directories of pairs2shards --out; none, or -, is stdin
    #[serde(skip)]
    #[arg(value_name = "SET", help_heading = "Files")]
    pub(crate) sets: Vec<PathBuf>,

    /// How many times the pairs of each set are seen in an epoch, separated by commas [default: 1 for each]
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        value_parser = parse_weight,
        help_heading = "Files",
        hide_short_help = true
    )]
    pub(crate) weights: Vec<f64>,
}

/// The largest number of times that a pair is seen in an epoch, whose order is held in memory.
const MAX_WEIGHT: f64 = 1000.0;

fn parse_weight(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight <= MAX_WEIGHT => Ok(weight),
        _ => Err(format!("expected a number above 0, at most {MAX_WEIGHT}")),
    }
}

/// Memory-mapped shards, whose pairs are numbered consecutively.
pub(crate) struct Shards {
    files: Vec<ShardFile>,
    /// Number of the first pair of each file.
    starts: Vec<usize>,
    sets: Vec<Set>,
}

/// The pairs of an operand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Set {
    pub(crate) pairs: Range<usize>,
    /// How many times they are seen in an epoch.
    pub(crate) weight: f64,
}

impl Shards {
    /// Opens all operands. Each process reads and checks only a part of the token ids here, and later the rows that it
    /// trains on.
    ///
    /// # Errors
    /// A shard that is damaged or was made for another model, a set without pairs, or not one weight per set.
    pub(crate) fn open(args: &SetArgs, part: RankInfo, model: &ModelDir, session: &Session) -> anyhow::Result<Self> {
        let stdin = [PathBuf::from("-")];
        let operands = if args.sets.is_empty() { &stdin[..] } else { &args.sets };
        let (weights, sets) = (args.weights.len(), operands.len());
        let noun = |count: usize, one: &'static str, many: &'static str| if count == 1 { one } else { many };
        ensure!(
            weights == 0 || weights == sets,
            "--weights: {weights} {} for {sets} {}",
            noun(weights, "weight", "weights"),
            noun(sets, "set", "sets")
        );
        let tokenizer = model.tokenizer_fingerprint()?;
        let mut all = Vec::new();
        for (index, operand) in operands.iter().enumerate() {
            let open = |file: &PathBuf| ShardFile::open(file, part.rank, part.world_size, session);
            let shards: Vec<_> = files(operand)?.iter().map(open).collect::<Result<_, _>>()?;
            shards.iter().try_for_each(|shard| shard.check(&tokenizer, model))?;
            ensure!(shards.iter().any(|file| file.shard.pairs() > 0), "{}: no training pairs", operand.display());
            all.push((shards, args.weights.get(index).copied().unwrap_or(1.0)));
        }
        Ok(Self::new(all))
    }

    /// Sets of shards, with their weights.
    pub(crate) fn new(sets: Vec<(Vec<ShardFile>, f64)>) -> Self {
        let mut all = Self { files: Vec::new(), starts: Vec::new(), sets: Vec::new() };
        let mut end = 0;
        for (files, weight) in sets {
            let begin = end;
            for file in files {
                all.starts.push(end);
                end += file.shard.pairs();
                all.files.push(file);
            }
            all.sets.push(Set { pairs: begin..end, weight });
        }
        all
    }

    /// The prompts of all pairs.
    ///
    /// # Errors
    /// Shards with different prompts.
    pub(crate) fn prompts(&self) -> anyhow::Result<Prompts> {
        Prompts::of(&self.files)
    }

    /// Some rows of every column with their names in messages: the shortest, one from the middle, and the longest with
    /// at most `most_tokens` tokens.
    ///
    /// # Errors
    /// A damaged row.
    pub(crate) fn samples(&self, most_tokens: usize) -> anyhow::Result<Vec<(String, Vec<u32>)>> {
        let mut samples = Vec::new();
        for column in Column::ALL {
            let rows = |file: &ShardFile| {
                if column == Column::Negative { file.shard.negative_rows() } else { file.shard.pairs() }
            };
            let places = || self.files.iter().flat_map(|file| (0..rows(file)).map(move |row| (file, row)));
            let length = |(file, row): &(&ShardFile, usize)| file.shard.length(column, *row);
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

    /// The name of a pair in messages, counted from 1.
    pub(crate) fn name_pair(&self, pair: usize) -> String {
        let file = self.starts.partition_point(|start| *start <= pair) - 1;
        format!("pair {} of {}", pair - self.starts[file] + 1, self.files[file].name)
    }

    /// The shard of a pair, and the pair's index in it.
    pub(crate) fn find(&self, pair: usize) -> (&Shard, usize) {
        let file = self.starts.partition_point(|start| *start <= pair) - 1;
        (&self.files[file].shard, pair - self.starts[file])
    }

    /// Appends the keys by which pairs that share a text or a document are recognised.
    pub(crate) fn push_keys(&self, pair: usize, keys: &mut Vec<u64>) {
        let (shard, row) = self.find(pair);
        let negatives = shard.negatives(row).map(|row| (Column::Negative, row));
        for (column, row) in [(Column::Anchor, row), (Column::Positive, row)].into_iter().chain(negatives) {
            let hashes = shard.hashes(column, row);
            if hashes.text != 0 {
                keys.push(hashes.text);
            }
            if hashes.document != 0 {
                // Inverted, so that a document id does not match an equal text.
                keys.push(!hashes.document);
            }
        }
    }

    /// Number of hard negatives.
    pub(crate) fn negatives(&self) -> usize {
        self.files.iter().map(|file| file.shard.negative_rows()).sum()
    }

    /// The columns of the pairs besides anchors and positives.
    ///
    /// # Errors
    /// Vectors of different guide models.
    pub(crate) fn columns(&self) -> anyhow::Result<ShardColumns> {
        let labels = self.has_labels();
        Ok(ShardColumns {
            negatives: self.negatives() > 0,
            scores: self.have_scores(),
            labels,
            labelled_0: if labels { self.positives_labelled_0() } else { 0 },
            guide: self.have_guide()?,
        })
    }

    /// Number of tokens of every row of some pairs.
    pub(crate) fn lengths(&self, pairs: &[usize]) -> Vec<usize> {
        let mut lengths = Vec::new();
        for (shard, row) in pairs.iter().map(|pair| self.find(*pair)) {
            lengths.extend([Column::Anchor, Column::Positive].map(|column| shard.length(column, row)));
            lengths.extend(shard.negatives(row).map(|row| shard.length(Column::Negative, row)));
        }
        lengths
    }

    /// Identifies the content of all shards.
    pub(crate) fn fingerprint(&self) -> String {
        self.files.iter().map(|file| file.shard.fingerprint()).collect::<Vec<_>>().join("+")
    }

    /// Whether every positive and every negative has a score.
    fn have_scores(&self) -> bool {
        let has_scores = |shard: &Shard, pair: usize| {
            shard.score(Column::Positive, pair).is_some()
                && shard.negatives(pair).all(|row| shard.score(Column::Negative, row).is_some())
        };
        self.files.iter().all(|file| (0..file.shard.pairs()).all(|pair| has_scores(&file.shard, pair)))
    }

    /// Whether every positive and negative has a score of 0 or 1.
    fn has_labels(&self) -> bool {
        let is_label = |score: Option<f32>| score.is_some_and(|score| score == 0.0 || score == 1.0);
        self.files.iter().all(|ShardFile { shard, .. }| {
            (0..shard.pairs()).all(|row| is_label(shard.score(Column::Positive, row)))
                && (0..shard.negative_rows()).all(|row| is_label(shard.score(Column::Negative, row)))
        })
    }

    /// Number of positives with a score of 0.
    fn positives_labelled_0(&self) -> usize {
        let is_0 = |shard: &Shard, row: &usize| shard.score(Column::Positive, *row) == Some(0.0);
        self.files.iter().map(|ShardFile { shard, .. }| (0..shard.pairs()).filter(|row| is_0(shard, row)).count()).sum()
    }

    /// Whether all shards have the guide model's vectors.
    ///
    /// # Errors
    /// Vectors of different models, which cannot be compared within a batch.
    fn have_guide(&self) -> anyhow::Result<bool> {
        let guide = |file: &ShardFile| Some((file.shard.guide_dimension()?, file.shard.meta().guide.clone()));
        let Some(guides) = self.files.iter().map(guide).collect::<Option<Vec<_>>>() else { return Ok(false) };
        if let Some(other) = guides.iter().position(|guide| *guide != guides[0]) {
            let (first, other) = (&self.files[0].name, &self.files[other].name);
            anyhow::bail!("{first} and {other} have the vectors of different guide models");
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_have_bounds() {
        assert_eq!((parse_weight("0.5"), parse_weight("1e3")), (Ok(0.5), Ok(1000.0)));
        for bad in ["", "x", "0", "-1", "NaN", "inf", "1e4"] {
            assert!(parse_weight(bad).is_err(), "{bad}");
        }
    }
}
