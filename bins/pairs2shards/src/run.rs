//! What pairs2shards does.

use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Outcome, Session, Skipper, is_inside};
use embtune_model::{ModelDir, locate};
use embtune_records::{HoldoutSplit, Location, Pair};
use embtune_tensors::{Embeddings, ShardMeta, check_unchanged, report_truncated_files};
use rayon::prelude::*;

use crate::cleaner::{Cleaner, Features, Reason};
use crate::cli::Cli;
use crate::columns::Columns;
use crate::counts::Counts;
use crate::describe;
use crate::guide::Guide;
use crate::holdout::Holdout;
use crate::input::ahead::Ahead;
use crate::input::merge::{Row, Window};
use crate::prompts::Prompts;
use crate::shards::{Job, Shards, Written};
use crate::unread::Unread;

/// Pairs that are tokenised together.
const WINDOW_PAIRS: usize = 4096;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    if !cli.describe.is_empty() {
        return describe::run(&cli.describe, cli.tokens_per_second, session);
    }
    let inputs = session.inputs(&cli.records.files)?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    // What mnrl-train will not train is better known before the pairs are paid for.
    model.trained()?;
    model.weights()?;
    let columns = Columns::new(&model, &cli)?;
    let open = |file: &Option<PathBuf>| file.as_deref().map(Embeddings::open).transpose();
    let vectors = open(&cli.guide_queries)?.zip(open(&cli.guide_corpus)?);
    let guide = vectors.as_ref().map(|(queries, corpus)| Guide::new(queries, corpus)).transpose()?;
    let max_record_bytes = cli.records.max_record_bytes;
    let cleaner = Cleaner::new(cli.near_duplicates.near_duplicate, &cli.exclude_queries, max_record_bytes, session)?;
    let meta = ShardMeta { guide: guide.as_ref().and_then(Guide::model), ..columns.meta() };
    if let (Some(out), Some(holdout)) = (&cli.out, &cli.holdout_dir) {
        anyhow::ensure!(
            !is_inside(holdout, out),
            "--holdout-dir {} is inside of --out {}, which appears as a whole\nhint: put it beside that directory",
            holdout.display(),
            out.display()
        );
    }
    let shards = match (&cli.out, cli.shard_pairs) {
        (Some(directory), Some(pairs)) => Shards::many(directory, pairs.get(), meta, guide.as_ref(), session)?,
        _ => Shards::one(cli.output.as_deref(), meta, guide.as_ref(), session)?,
    };
    let holdout = match (cli.split.holdout, cli.holdout_dir) {
        (Some(share), Some(directory)) => {
            let split = HoldoutSplit { share, seed: cli.split.seed };
            Some(Holdout::create(split, directory, cli.near_duplicates.near_duplicate, session)?)
        }
        (None, None) => None,
        _ => anyhow::bail!("--holdout and --holdout-dir go together"),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cli.threads.count()).build().context("starting threads")?;
    let skipper = Skipper::new(cli.records.on_error, session);
    let mut packer = Packer {
        prompts: Prompts::new(columns.query_prompt(), cli.query_prompt.is_some()),
        columns,
        unread: Unread::default(),
        guide: guide.as_ref(),
        cleaner,
        holdout,
        shards,
        pool,
        counts: Counts::default(),
        session,
    };
    let progress = session.progress(None, "pairs");
    let mut windows = Ahead::new(inputs, max_record_bytes, WINDOW_PAIRS);
    while let Some(window) = windows.next()? {
        session.interrupt().check()?;
        let rows = window.rows.len() as u64;
        packer.pack(window, &skipper)?;
        progress.add(rows);
    }
    drop(progress);
    session.interrupt().check()?;
    check_unchanged()?;
    packer.finish()?;
    Ok(skipper.outcome())
}

/// From pairs to shards.
struct Packer<'a> {
    columns: Columns,
    prompts: Prompts,
    unread: Unread,
    guide: Option<&'a Guide<'a>>,
    cleaner: Cleaner,
    holdout: Option<Holdout>,
    shards: Shards<'a>,
    pool: rayon::ThreadPool,
    counts: Counts,
    session: &'a Session,
}

impl Packer<'_> {
    /// Cleans, splits, tokenises and writes a window of pairs.
    fn pack(&mut self, window: Window, skipper: &Skipper<'_>) -> anyhow::Result<()> {
        let (before, is_split) = (self.counts.read, self.holdout.is_some());
        let features: Vec<Features> = self.pool.install(|| {
            let features = |(number, row): (usize, &Row)| match row {
                Row::Pair(pair, _) => Features::of(pair, before + number as u64, is_split),
                Row::Merged(..) | Row::Double(_) | Row::Bad(_) => Features::default(),
            };
            window.rows.par_iter().enumerate().map(features).collect()
        });
        self.counts.faults.iter_mut().zip(window.faults).for_each(|(all, faults)| *all += faults);
        self.cleaner.contradictions.add(window.contradictions);
        let mut jobs = Vec::new();
        for (row, features) in window.rows.into_iter().zip(features) {
            self.counts.read += u64::from(!matches!(row, Row::Bad(_)));
            match row {
                Row::Bad(error) if error.is_recoverable() => skipper.bad(error)?,
                Row::Bad(error) => return Err(error.into()),
                Row::Double(place) => self.drop(Reason::Double, &place),
                Row::Merged(place, first) => {
                    self.counts.merged += 1;
                    self.session.info(format!("{place}: its negatives go to the same pair at {first}"));
                }
                Row::Pair(pair, place) => match self.take(*pair, features, &place)? {
                    Ok(job) => jobs.extend(job),
                    Err(what) => skipper.bad(place.error(what))?,
                },
            }
        }
        self.holdout.as_mut().map_or(Ok(()), Holdout::flush)?;
        let tokens = self.columns.tokenize(&jobs)?;
        self.shards.push(&jobs, &tokens)?;
        self.counts.written += jobs.len() as u64;
        Ok(())
    }

    /// What goes into the shard of a pair, if anything does; or what is wrong with it.
    fn take(
        &mut self,
        pair: Pair,
        features: Features,
        place: &Location,
    ) -> anyhow::Result<Result<Option<Job>, String>> {
        match self.prompts.take(&pair) {
            Ok(None) => {}
            Ok(Some(prompt)) => {
                self.session.notice(format!("the query prompt is that of the pairs: \"{prompt}\""));
                self.columns.set_query_prompt(prompt)?;
                self.shards.set_query_prompt(prompt);
            }
            Err(what) => return Ok(Err(what)),
        }
        self.unread.take(&pair);
        if let Some(reason) = self.cleaner.judge(&features, place) {
            self.drop(reason, place);
            return Ok(Ok(None));
        }
        let kept = match &mut self.holdout {
            Some(holdout) => holdout.take(pair, &features),
            None => Ok(Some((pair, 0))),
        };
        Ok(kept.and_then(|kept| {
            let Some((pair, leaked)) = kept else { return Ok(None) };
            self.counts.leaked += leaked;
            let guide = self.guide.map(|guide| guide.find(&pair)).transpose()?;
            Ok(Some(Job { pair, guide, languages: features.languages }))
        }))
    }

    fn drop(&mut self, reason: Reason, place: &Location) {
        self.counts.drop(reason);
        self.session.info(format!("{place}: dropped: {}", reason.words()));
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if let Some(holdout) = self.holdout {
            self.counts.held_out = holdout.finish(&self.pool, self.session)?;
            if self.counts.held_out.queries == 0 {
                self.session
                    .warn("the held-out set has no query: nothing can be measured with it\nhint: raise --holdout");
            }
        }
        let Written { shards, cut } = self.shards.finish()?;
        (self.counts.shards, self.counts.cut) = (shards, cut);
        self.session.notice(self.counts.summary(self.columns.lengths()));
        if self.counts.leaked > 0 {
            self.session.warn(
                "some negatives were held-out documents\nhint: give mine-negatives the same --holdout and --seed, and \
                 pairs get others in their place",
            );
        }
        if self.prompts.overruled > 0 {
            let count = self.prompts.overruled;
            self.session.warn(format!("{count} pairs name another query prompt than --query-prompt, which counts"));
        }
        let warnings = [self.cleaner.contradictions.warning(), self.unread.warning()];
        warnings.into_iter().flatten().for_each(|warning| self.session.warn(warning));
        Ok(())
    }
}
