//! What pairs2shards does.

use std::collections::HashSet;
use std::path::PathBuf;

use embtune_cli::{Outcome, Session, Skipper};
use embtune_model::{ModelDir, locate};
use embtune_records::{Pair, Records};
use embtune_tensors::{Embeddings, ShardMeta};
use xxhash_rust::xxh3::xxh3_64;

use crate::cli::Cli;
use crate::columns::Columns;
use crate::guide::Guide;
use crate::holdout::Holdout;
use crate::shards::{Job, Shards, Written};

/// Pairs that are tokenised together.
const WINDOW_PAIRS: usize = 4096;

#[derive(Default)]
struct Counts {
    read: u64,
    written: u64,
    blank: u64,
    double: u64,
}

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let inputs = session.inputs(&cli.records.files)?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.offline)?)?;
    let columns = Columns::new(&model, &cli)?;
    let open = |file: &Option<PathBuf>| file.as_deref().map(Embeddings::open).transpose();
    let vectors = open(&cli.guide_queries)?.zip(open(&cli.guide_corpus)?);
    let guide = vectors.as_ref().map(|(queries, corpus)| Guide::new(queries, corpus)).transpose()?;
    let meta = ShardMeta { guide: guide.as_ref().and_then(Guide::model), ..columns.meta() };
    let mut shards = match (&cli.out, cli.shard_pairs) {
        (Some(directory), Some(pairs)) => Shards::many(directory, pairs.get(), meta, guide.as_ref(), session)?,
        _ => Shards::one(cli.output.as_deref(), meta, guide.as_ref(), session)?,
    };
    let mut holdout = match (cli.holdout, cli.holdout_dir) {
        (Some(share), Some(directory)) => Some(Holdout::create(share, cli.seed, directory, session)?),
        _ => None,
    };

    let skipper = Skipper::new(cli.records.on_error, session);
    let mut counts = Counts::default();
    let mut seen = HashSet::new();
    let mut window = Vec::new();
    let progress = session.progress(None, "pairs");
    for input in inputs {
        let mut records = Records::<Pair, _>::new(input.name.clone(), input, cli.records.max_record_bytes);
        while let Some(record) = records.next() {
            let pair = match record {
                Ok(pair) => pair,
                Err(error) if error.is_record() => {
                    skipper.bad(error)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            counts.read += 1;
            if pair.anchor.trim().is_empty() || pair.positive.trim().is_empty() {
                counts.blank += 1;
                continue;
            }
            if !seen.insert(xxh3_64(format!("{}\0{}", pair.anchor, pair.positive).as_bytes())) {
                counts.double += 1;
                continue;
            }
            let kept = match &mut holdout {
                Some(holdout) => holdout.take(pair),
                None => Ok(Ok(Some(pair))),
            };
            let job = match kept {
                Ok(Ok(Some(pair))) => job(pair, guide.as_ref()),
                Ok(Ok(None)) => continue,
                Ok(Err(error)) => return Err(error),
                Err(what) => Err(what),
            };
            match job {
                Ok(job) => window.push(job),
                Err(what) => skipper.bad(records.error(what))?,
            }
            if window.len() == WINDOW_PAIRS {
                flush(&mut window, &columns, &mut shards, &mut counts)?;
                progress.add(WINDOW_PAIRS as u64);
            }
        }
    }
    flush(&mut window, &columns, &mut shards, &mut counts)?;
    drop(progress);
    session.interrupt().check()?;
    let held_out = holdout.as_ref().map_or(0, Holdout::pairs);
    if let Some(holdout) = holdout {
        holdout.finish(session)?;
    }
    let Written { shards, truncated } = shards.finish()?;
    let Counts { read, written, blank, double } = counts;
    session.notice(format!(
        "{read} pairs read, {written} written to {shards} shard(s), {held_out} held out, {blank} blank, {double} double; {truncated} texts cut"
    ));
    Ok(skipper.outcome())
}

/// Finds the vectors of a pair, or says which is missing.
fn job(pair: Pair, guide: Option<&Guide<'_>>) -> Result<Job, String> {
    let rows = guide.map(|guide| guide.find(&pair)).transpose()?;
    Ok(Job { pair, guide: rows })
}

fn flush(window: &mut Vec<Job>, columns: &Columns, shards: &mut Shards<'_>, counts: &mut Counts) -> anyhow::Result<()> {
    let tokens = columns.tokenize(window)?;
    shards.push(window, &tokens)?;
    counts.written += window.len() as u64;
    window.clear();
    Ok(())
}
