//! From the flags to the pairs.

use embtune_cli::{Outcome, Output, Session, Skipper};
use embtune_records::{ReadError, write_json_line};
use embtune_search::Searcher;
use embtune_tensors::{Embeddings, check_same_space};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::choose::Chooser;
use crate::cli::Cli;
use crate::corpus::Corpus;
use crate::counts::Counts;
use crate::known::Known;
use crate::limits::Limits;
use crate::miner::{Job, Miner};
use crate::queries::Queries;
use crate::source::Source;

/// Pairs that are searched for in one pass over the corpus.
const BATCH: usize = 1024;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    let limits = Limits::new(&cli.choice)?;
    let wanted = cli.choice.num_negatives.get();
    let max_record_bytes = cli.records.max_record_bytes;
    let (queries, vectors) = (Embeddings::open(&cli.queries)?, Embeddings::open(&cli.corpus)?);
    check_same_space(&queries, &vectors)?;
    let corpus = Corpus::read(&vectors, &cli.texts, max_record_bytes, session)?;
    let sources = Source::open_all(&cli.records.files, session)?;
    let known = Known::read(&sources, &corpus, max_record_bytes, session)?;
    let compute = &cli.ort.compute;
    let searcher =
        Searcher::new(compute.device, compute.threads.count(), cli.similarity, cli.ort.ort_library.as_deref())?;
    session.notice(format!("searching on {}", searcher.device()));
    let mut miner = Miner {
        queries: Queries::new(&queries),
        corpus: &corpus,
        known,
        searcher,
        similarity: cli.similarity,
        chooser: Chooser { limits, wanted, sampling: cli.choice.sampling, rng: ChaCha8Rng::seed_from_u64(cli.seed) },
        counts: Counts::default(),
        session,
    };
    let skipper = Skipper::new(cli.records.on_error, session);
    let mut out = session.output(cli.output.as_deref())?;
    mine(&mut miner, &sources, max_record_bytes, &skipper, &mut out)?;
    out.finish()?;
    session.notice(miner.counts.summary(wanted));
    Ok(skipper.outcome())
}

/// Reads all pairs, mines them batch by batch and writes them in their order.
fn mine(
    miner: &mut Miner,
    sources: &[Source],
    max_record_bytes: usize,
    skipper: &Skipper,
    out: &mut Output,
) -> anyhow::Result<()> {
    let progress = miner.session.progress(None, "pairs");
    let mut jobs = Vec::with_capacity(BATCH);
    for source in sources {
        let mut pairs = source.pairs(max_record_bytes, miner.session)?;
        while let Some(pair) = pairs.next() {
            let job = pair.and_then(|pair| match miner.queries.find(&pair, miner.corpus) {
                Ok(rows) => Ok(Job { pair, rows }),
                Err(what) => Err(pairs.error(what)),
            });
            match job {
                Ok(job) => jobs.push(job),
                Err(error @ ReadError::Record { .. }) => skipper.bad(error)?,
                Err(error) => return Err(error.into()),
            }
            if jobs.len() == BATCH {
                write(miner, std::mem::take(&mut jobs), out)?;
                progress.add(BATCH as u64);
            }
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
