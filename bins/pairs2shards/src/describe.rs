//! `--describe`: what is in a shard.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};
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
        let shard = Shard::open(file)?;
        write!(out, "{}", if number > 0 { "\n" } else { "" })?;
        describe(&shard, &mut out)?;
    }
    out.finish()?;
    Ok(Outcome::Done)
}

/// Prints the statistics of a shard.
fn describe(shard: &Shard, out: &mut impl Write) -> io::Result<()> {
    let pairs = shard.pairs();
    let count = |count: usize| group_digits(count as u64);
    let hashes = |column| (0..pairs).map(move |row| shard.hashes(column, row));
    let texts = hashes(Column::Anchor).zip(hashes(Column::Positive)).map(|(a, p)| (a.text, p.text));
    let duplicates = pairs - texts.collect::<HashSet<_>>().len();
    // A hash of 0 is unknown.
    let distinct = |hashes: &mut dyn Iterator<Item = u64>| {
        let known: HashSet<u64> = hashes.filter(|hash| *hash != 0).collect();
        (!known.is_empty()).then(|| count(known.len()))
    };
    let unknown = || "unknown".to_owned();
    let anchors = distinct(&mut hashes(Column::Anchor).map(|hashes| hashes.text)).unwrap_or("0".into());
    let documents = distinct(&mut hashes(Column::Positive).map(|hashes| hashes.document)).unwrap_or_else(unknown);
    let groups = distinct(&mut hashes(Column::Positive).map(|hashes| hashes.group)).unwrap_or_else(unknown);
    let without_negatives = (0..pairs).filter(|pair| shard.negatives(*pair).is_empty()).count();
    let scored = (0..pairs).filter(|pair| shard.score(Column::Positive, *pair).is_some()).count();
    let guide = shard.guide_dimension();
    let lengths = Column::ALL.map(|column| {
        let rows = if column == Column::Negative { shard.negative_rows() } else { pairs };
        Lengths::of((0..rows).map(|row| shard.length(column, row)))
    });
    let tokens: u64 = lengths.iter().map(|lengths| lengths.tokens).sum();
    let meta = shard.meta();
    let ShardMeta { query_prompt, document_prompt, query_max_length, document_max_length, .. } = meta;
    let truncated = group_digits(meta.truncated);
    writeln!(out, "{}", shard.name())?;
    for (name, value) in [
        ("pairs", count(pairs)),
        ("anchors", format!("{anchors} distinct")),
        ("documents", format!("{documents} distinct, in {groups} groups")),
        ("duplicates", format!("{} pairs whose texts both occur in an earlier pair", count(duplicates))),
        ("negatives", format!("{}; {} pairs have none", count(shard.negative_rows()), count(without_negatives))),
        ("scores", format!("of {} positives", count(scored))),
        ("guide", guide.map_or("none".into(), |elements| format!("vectors of {elements} dimensions"))),
        ("tokenizer", meta.tokenizer.clone()),
        ("prompts", format!("{query_prompt:?} before anchors, {document_prompt:?} before documents")),
        ("cut", format!("{truncated} texts, at {query_max_length} and {document_max_length} tokens")),
        ("languages", languages("anchors", &meta.query_languages)),
        ("", languages("positives", &meta.document_languages)),
        ("tokens", format!("{} per epoch", group_digits(tokens))),
    ] {
        writeln!(out, "  {name:<12}{value}")?;
    }
    histogram(&lengths, out)
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
fn histogram(columns: &[Lengths; 3], out: &mut impl Write) -> io::Result<()> {
    let mut row = |name: &str, values: [String; 3]| {
        let [anchors, positives, negatives] = values;
        writeln!(out, "  {name:<12}{anchors:>12}{positives:>12}{negatives:>12}")
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
