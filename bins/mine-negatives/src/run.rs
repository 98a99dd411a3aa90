//! From the flags to the pairs.

use std::time::Duration;

use embtune_cli::{Outcome, Output, Replayable, Session, Skipper, counted, spool_directory};
use embtune_records::{HoldoutSplit, Located, Pair, write_json_line};
use embtune_search::{Ranker, Searcher};
use embtune_tensors::{Embeddings, VectorsById, check_same_space, check_unchanged, report_truncated_files};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::candidates::CandidateFilter;
use crate::cli::Cli;
use crate::corpus::Corpus;
use crate::counts::Counts;
use crate::exclusions::{ExclusionSettings, Exclusions};
use crate::limits::{LimitSettings, Limits};
use crate::miner::Miner;
use crate::positives::{Positives, read_pairs};
use crate::search::{IndexedPair, Search};

/// How many pairs are searched for in one pass over the corpus.
const BATCH: usize = 1024;
/// The round-trip filter improves models with large sets and harms them with the smallest (Promptagator, arXiv
/// 2209.11755, section 4.3). With fewer pairs than this, it should be compared with training on all of them.
const FEW_PAIRS: u64 = 10_000;

/// The error of a pair whose label is 0.
const NO_ANSWER: &str = "the label is 0, so the positive does not answer the query and negatives cannot be compared with it\n\
                         hint: mine without the pairs that have the label 0, and add them afterwards";

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let num_negatives = cli.choice.num_negatives.get();
    let limits = Limits::new(limit_settings(&cli), num_negatives)?;
    let max_record_bytes = cli.records.max_record_bytes;
    let (query_vectors, vectors) = (Embeddings::open(&cli.queries)?, Embeddings::open(&cli.corpus)?);
    check_same_space(&query_vectors, &vectors)?;
    let exclusions = Exclusions::read(&exclusion_settings(&cli), session)?;
    let spool = spool_directory(cli.output.as_deref());
    let texts = session.replayable_input(&cli.texts, &spool)?;
    let corpus = Corpus::read(&vectors, &texts, &exclusions, max_record_bytes)?;
    let inputs = session.replayable_inputs(&cli.records.files, &spool)?;
    let positives = Positives::read(&inputs, &corpus, max_record_bytes)?;
    let mut miner = Miner {
        search: search(&cli, &query_vectors, session)?,
        corpus: &corpus,
        filter: CandidateFilter {
            limits,
            num_negatives,
            sampling: cli.choice.sampling,
            max_positives: positives.max_per_query(),
            near_duplicate: cli.near_duplicates.near_duplicate,
        },
        positives,
        exclusions: &exclusions,
        rng: ChaCha8Rng::seed_from_u64(cli.split.seed),
        keep_rank: cli.round_trip.keep_rank.map(Into::into),
        counts: Counts::default(),
        pool: rayon::ThreadPoolBuilder::new().num_threads(cli.ort.compute.threads.count()).build()?,
        session,
    };
    let skipper = Skipper::new(cli.records.on_error, session);
    let mut out = session.output(cli.output.as_deref())?;
    mine(&mut miner, &VectorsById::new(&query_vectors, "query"), &inputs, max_record_bytes, &skipper, &mut out)?;
    check_unchanged()?;
    out.finish()?;
    report(&miner);
    Ok(skipper.outcome())
}

fn limit_settings(cli: &Cli) -> LimitSettings {
    LimitSettings {
        range_min: cli.choice.range_min,
        range_max: cli.choice.range_max,
        max_score: cli.choice.max_score,
        min_score: cli.choice.min_score,
        absolute_margin: cli.choice.absolute_margin,
        relative_margin: cli.choice.relative_margin,
    }
}

fn exclusion_settings(cli: &Cli) -> ExclusionSettings {
    ExclusionSettings {
        holdout: cli.split.holdout.map(|share| HoldoutSplit { share, seed: cli.split.seed }),
        list: cli.exclude_documents.clone(),
        max_record_bytes: cli.records.max_record_bytes,
    }
}

fn search<'a>(cli: &Cli, queries: &'a Embeddings, session: &Session) -> anyhow::Result<Search<'a>> {
    let (device, threads) = (cli.ort.compute.device, cli.ort.compute.threads.count());
    let library = cli.ort.ort_library.as_deref();
    let searcher = Searcher::new(device, threads, cli.similarity, library)?;
    session.notice(format!("searching on {}", searcher.device()));
    let ranker = cli.round_trip.exact_ranks.then(|| Ranker::new(device, threads, cli.similarity, library));
    Ok(Search { queries, searcher, ranker: ranker.transpose()?, similarity: cli.similarity, time: Duration::ZERO })
}

/// Reads all pairs, mines them in batches, and writes them in their order.
fn mine(
    miner: &mut Miner,
    queries: &VectorsById<'_>,
    inputs: &[Replayable],
    max_record_bytes: usize,
    skipper: &Skipper,
    out: &mut Output,
) -> anyhow::Result<()> {
    let progress = miner.session.progress(None, "pairs");
    let mut batch = Vec::with_capacity(BATCH);
    let mut records = read_pairs(inputs, max_record_bytes)?;
    while let Some(Located { record: pairs, location, .. }) = records.next_usable(|error| skipper.bad(error))? {
        let index = |pair: Pair| match pair.is_no_answer() {
            true => Err(location.error(NO_ANSWER)),
            false => IndexedPair::new(pair, queries, miner.corpus).map_err(|what| location.error(what)),
        };
        match pairs.into_iter().map(index).collect::<Result<Vec<_>, _>>() {
            Ok(pairs) => batch.extend(pairs),
            Err(error) => skipper.bad(error)?,
        }
        if batch.len() >= BATCH {
            progress.add(batch.len() as u64);
            write(miner, std::mem::take(&mut batch), out)?;
        }
    }
    write(miner, batch, out)
}

fn write(miner: &mut Miner, batch: Vec<IndexedPair>, out: &mut Output) -> anyhow::Result<()> {
    for pair in miner.mine(batch)? {
        write_json_line(&pair.to_object(), out)?;
    }
    Ok(())
}

fn report(miner: &Miner) {
    let Counts { pairs, below_rank, held_out, .. } = miner.counts;
    miner.session.notice(format!(
        "{} searched among {} in {:.1} s",
        counted(pairs + below_rank, "query", "queries"),
        counted(miner.corpus.vectors.len() as u64, "document", "documents"),
        miner.search.time.as_secs_f64()
    ));
    let kept = pairs - held_out;
    if below_rank > 0 && kept < FEW_PAIRS {
        miner.session.warn(format!(
            "--keep-rank has kept {kept} of {} pairs; with so few, dropping pairs may do more harm than good\n\
             hint: train once with all of them, and compare",
            kept + below_rank
        ));
    }
    miner.session.notice(miner.counts.summary(miner.filter.num_negatives));
}
