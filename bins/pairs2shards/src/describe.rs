//! `--describe`: what is in a shard.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::{self, Display, Formatter};
use std::io::Write as _;
use std::path::PathBuf;

use embtune_cli::{Outcome, Session, group_digits};
use embtune_tensors::{Column, Shard, ShardMeta};

/// Describes shards one by one.
///
/// # Errors
/// A file that is not a shard, or a damaged one.
pub(crate) fn run(files: &[PathBuf], session: &Session) -> anyhow::Result<Outcome> {
    let mut out = session.output(None)?;
    for (number, file) in files.iter().enumerate() {
        session.interrupt().check()?;
        let blank_line = if number > 0 { "\n" } else { "" };
        write!(out, "{blank_line}{}", Description::of(&Shard::open(file)?))?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// Statistics of a shard.
struct Description<'a> {
    name: &'a str,
    meta: &'a ShardMeta,
    pairs: usize,
    anchors: usize,
    documents: Option<usize>,
    groups: Option<usize>,
    duplicates: usize,
    negatives: usize,
    without_negatives: usize,
    scored: usize,
    guide: Option<usize>,
    lengths: [Lengths; 3],
}

impl<'a> Description<'a> {
    fn of(shard: &'a Shard) -> Self {
        let pairs = shard.pairs();
        let hashes = |column| (0..pairs).map(move |row| shard.hashes(column, row));
        let texts = hashes(Column::Anchor).zip(hashes(Column::Positive)).map(|(a, p)| (a.text, p.text));
        // A hash of 0 is unknown.
        let distinct = |hashes: &mut dyn Iterator<Item = u64>| {
            let known: HashSet<u64> = hashes.filter(|hash| *hash != 0).collect();
            (!known.is_empty()).then_some(known.len())
        };
        Self {
            name: shard.name(),
            meta: shard.meta(),
            pairs,
            anchors: distinct(&mut hashes(Column::Anchor).map(|hashes| hashes.text)).unwrap_or(0),
            documents: distinct(&mut hashes(Column::Positive).map(|hashes| hashes.document)),
            groups: distinct(&mut hashes(Column::Positive).map(|hashes| hashes.group)),
            duplicates: pairs - texts.collect::<HashSet<_>>().len(),
            negatives: shard.negative_rows(),
            without_negatives: (0..pairs).filter(|pair| shard.negatives(*pair).is_empty()).count(),
            scored: (0..pairs).filter(|pair| shard.score(Column::Positive, *pair).is_some()).count(),
            guide: shard.guide_dimension(),
            lengths: Column::ALL.map(|column| {
                let rows = if column == Column::Negative { shard.negative_rows() } else { pairs };
                Lengths::of((0..rows).map(|row| shard.length(column, row)))
            }),
        }
    }
}

impl Display for Description<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ShardMeta { query_prompt, document_prompt, query_max_length, document_max_length, .. } = self.meta;
        let count = |count: usize| group_digits(count as u64);
        let known = |count: Option<usize>| count.map_or("unknown".into(), |count| group_digits(count as u64));
        let tokens: u64 = self.lengths.iter().map(|lengths| lengths.tokens).sum();
        let lines = [
            ("pairs", count(self.pairs)),
            ("anchors", format!("{} distinct", count(self.anchors))),
            ("documents", format!("{} distinct, in {} groups", known(self.documents), known(self.groups))),
            ("duplicates", format!("{} pairs whose texts both occur in an earlier pair", count(self.duplicates))),
            ("negatives", format!("{}; {} pairs have none", count(self.negatives), count(self.without_negatives))),
            ("scores", format!("of {} positives", count(self.scored))),
            ("guide", self.guide.map_or("none".into(), |elements| format!("vectors of {elements} dimensions"))),
            ("tokenizer", self.meta.tokenizer.clone()),
            ("prompts", format!("{query_prompt:?} before anchors, {document_prompt:?} before documents")),
            (
                "cut",
                format!(
                    "{} texts, at {query_max_length} and {document_max_length} tokens",
                    group_digits(self.meta.truncated)
                ),
            ),
            ("languages", languages("anchors", &self.meta.query_languages)),
            ("", languages("positives", &self.meta.document_languages)),
            ("tokens", format!("{} per epoch", group_digits(tokens))),
        ];
        writeln!(f, "{}", self.name)?;
        lines.iter().try_for_each(|(name, value)| writeln!(f, "  {name:<12}{value}"))?;
        histogram(&self.lengths, f)
    }
}

fn languages(of: &str, counts: &BTreeMap<String, u64>) -> String {
    let all: u64 = counts.values().sum();
    let mut counts: Vec<(&String, &u64)> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(**count));
    let shares = counts.iter().map(|(code, count)| format!("{code} {:.0} %", 100.0 * **count as f64 / all as f64));
    let shares = shares.collect::<Vec<_>>().join(", ");
    if all == 0 { format!("of {of}: unknown") } else { format!("of {of}: {shares} ({} sampled)", group_digits(all)) }
}

/// Lengths of the texts of a column.
struct Lengths {
    tokens: u64,
    rows: u64,
    longest: usize,
    /// Texts by length: up to 8 tokens, up to 16, and so on in powers of two.
    buckets: BTreeMap<usize, u64>,
}

impl Lengths {
    fn of(lengths: impl Iterator<Item = usize>) -> Self {
        let mut all = Self { tokens: 0, rows: 0, longest: 0, buckets: BTreeMap::new() };
        for length in lengths {
            all.tokens += length as u64;
            all.rows += 1;
            all.longest = all.longest.max(length);
            *all.buckets.entry(length.next_power_of_two().max(8)).or_default() += 1;
        }
        all
    }
}

/// A histogram: a row for each range of lengths, a column for each column of the shard.
fn histogram(columns: &[Lengths; 3], f: &mut Formatter<'_>) -> fmt::Result {
    let mut row = |name: &str, values: [String; 3]| {
        let [anchors, positives, negatives] = values;
        writeln!(f, "  {name:<12}{anchors:>12}{positives:>12}{negatives:>12}")
    };
    row("length", ["anchors", "positives", "negatives"].map(str::to_owned))?;
    let buckets: BTreeSet<usize> = columns.iter().flat_map(|lengths| lengths.buckets.keys().copied()).collect();
    for bucket in buckets {
        let from = if bucket == 8 { 1 } else { bucket / 2 + 1 };
        let count = |lengths: &Lengths| group_digits(lengths.buckets.get(&bucket).copied().unwrap_or(0));
        row(&format!("{from}-{bucket}"), columns.each_ref().map(count))?;
    }
    let mean = |lengths: &Lengths| format!("{:.1}", lengths.tokens as f64 / lengths.rows.max(1) as f64);
    row("mean", columns.each_ref().map(mean))?;
    row("longest", columns.each_ref().map(|lengths| lengths.longest.to_string()))?;
    row("tokens", columns.each_ref().map(|lengths| group_digits(lengths.tokens)))
}
