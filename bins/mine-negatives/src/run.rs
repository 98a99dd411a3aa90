//! From the flags to the pairs.

use std::time::Duration;

use embtune_cli::{Outcome, Output, Replayable, Session, Skipper, spool_directory};
use embtune_records::{HoldoutSplit, Located, Pair, write_json_line};
use embtune_search::{Ranker, Searcher};
use embtune_tensors::{Embeddings, check_same_space, check_unchanged, report_truncated_files};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::choice::choose::Chooser;
use crate::choice::limits::Limits;
use crate::choice::look::Rules;
use crate::cli::Cli;
use crate::corpus::Corpus;
use crate::corpus::withheld::Withheld;
use crate::counts::Counts;
use crate::miner::{Job, Miner};
use crate::pairs::known::Known;
use crate::pairs::queries::Queries;
use crate::pairs::records;
use crate::search::Search;

/// Pairs that are searched for in one pass over the corpus.
const BATCH: usize = 1024;
/// The round-trip filter made models better with large sets, and worse with the smallest (Promptagator, arXiv
/// 2209.11755, section 4.3); with fewer pairs than this it is worth a comparison.
const FEW_PAIRS: u64 = 10_000;

/// What is wrong with a pair whose label is 0.
const NO_ANSWER: &str = "its label is 0, so that its positive does not answer the query, and no negative can be told from it\n\
                         hint: leave pairs with the label 0 out, and add them again when the others are mined";

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    let limits = Limits::new(&cli.choice)?;
    let (wanted, sampling) = (cli.choice.num_negatives.get(), cli.choice.sampling);
    let max_record_bytes = cli.records.max_record_bytes;
    let (query_vectors, vectors) = (Embeddings::open(&cli.queries)?, Embeddings::open(&cli.corpus)?);
    check_same_space(&query_vectors, &vectors)?;
    let seed = cli.split.seed;
    let split = cli.split.holdout.map(|share| HoldoutSplit { share, seed });
    let withheld = Withheld::read(split, cli.exclude_documents.as_deref(), max_record_bytes, session)?;
    let spool = spool_directory(cli.output.as_deref());
    let texts = session.replayable_input(&cli.texts, &spool)?;
    let corpus = Corpus::read(&vectors, &texts, &withheld, max_record_bytes)?;
    let inputs = session.replayable_inputs(&cli.records.files, &spool)?;
    let known = Known::read(&inputs, &corpus, max_record_bytes)?;
    let (device, threads) = (cli.ort.compute.device, cli.ort.compute.threads.count());
    let library = cli.ort.ort_library.as_deref();
    let searcher = Searcher::new(device, threads, cli.similarity, library)?;
    session.notice(format!("searching on {}", searcher.device()));
    let ranker = cli.round_trip.exact_ranks.then(|| Ranker::new(device, threads, cli.similarity, library));
    let mut miner = Miner {
        search: Search {
            queries: &query_vectors,
            searcher,
            ranker: ranker.transpose()?,
            similarity: cli.similarity,
            time: Duration::ZERO,
        },
        corpus: &corpus,
        rules: Rules {
            limits,
            wanted,
            sampling,
            most_positives: known.most(),
            near_duplicate: cli.near_duplicates.near_duplicate,
        },
        known,
        withheld: &withheld,
        chooser: Chooser { wanted, sampling, rng: ChaCha8Rng::seed_from_u64(seed) },
        keep_rank: cli.round_trip.keep_rank.map(Into::into),
        counts: Counts::default(),
        pool: rayon::ThreadPoolBuilder::new().num_threads(threads).build()?,
        session,
    };
    let skipper = Skipper::new(cli.records.on_error, session);
    let mut out = session.output(cli.output.as_deref())?;
    mine(&mut miner, &Queries::new(&query_vectors), &inputs, max_record_bytes, &skipper, &mut out)?;
    check_unchanged()?;
    out.finish()?;
    report(&miner, vectors.len());
    Ok(skipper.outcome())
}

/// Reads all pairs, mines them batch by batch and writes them in their order.
fn mine(
    miner: &mut Miner,
    queries: &Queries,
    inputs: &[Replayable],
    max_record_bytes: usize,
    skipper: &Skipper,
    out: &mut Output,
) -> anyhow::Result<()> {
    let progress = miner.session.progress(None, "pairs");
    let mut jobs = Vec::with_capacity(BATCH);
    let mut records = records(inputs, max_record_bytes)?;
    while let Some(Located { record: pairs, location, .. }) = records.next_usable(|error| skipper.bad(error))? {
        let job = |pair: Pair| match queries.find(&pair, miner.corpus) {
            _ if pair.is_no_answer() => Err(location.error(NO_ANSWER)),
            Ok(rows) => Ok(Job { pair, rows }),
            Err(what) => Err(location.error(what)),
        };
        match pairs.into_iter().map(job).collect::<Result<Vec<_>, _>>() {
            Ok(of_record) => jobs.extend(of_record),
            Err(error) => skipper.bad(error)?,
        }
        if jobs.len() >= BATCH {
            progress.add(jobs.len() as u64);
            write(miner, std::mem::take(&mut jobs), out)?;
        }
    }
    write(miner, jobs, out)
}

fn write(miner: &mut Miner, jobs: Vec<Job>, out: &mut Output) -> anyhow::Result<()> {
    for pair in miner.mine(jobs)? {
        write_json_line(&pair.to_object(), out)?;
    }
    Ok(())
}

fn report(miner: &Miner, documents: usize) {
    let Counts { pairs, below_rank, held_out, .. } = miner.counts;
    let (searched, seconds) = (pairs + below_rank, miner.search.time.as_secs_f64());
    miner.session.notice(format!("{searched} queries searched among {documents} documents in {seconds:.1} s"));
    let left = pairs - held_out;
    if below_rank > 0 && left < FEW_PAIRS {
        miner.session.warn(format!(
            "--keep-rank has left {left} of {} pairs: with so few, the pairs that it drops may be worth more than what \
             it keeps out\nhint: train once with all of them, and compare",
            left + below_rank
        ));
    }
    miner.session.notice(miner.counts.summary(miner.chooser.wanted));
}
