//! From the flags to the settings of each part, and through the input.

use std::path::PathBuf;

use anyhow::Context as _;
use embtune_cli::{Outcome, Session, Skipper, is_inside};
use embtune_model::{ModelDir, locate};
use embtune_records::HoldoutSplit;
use embtune_tensors::{Embeddings, ShardMeta, check_unchanged, report_truncated_files};

use crate::cleaner::Cleaner;
use crate::cli::Cli;
use crate::counts::Counts;
use crate::describe;
use crate::guide::Guide;
use crate::holdout::Holdout;
use crate::input::ReadAhead;
use crate::packer::Packer;
use crate::prompts::Prompts;
use crate::shards::{Shards, Target};
use crate::tokenize::PairTokenizer;
use crate::warnings::IgnoredFields;

/// Pairs that are tokenised together.
const BATCH_PAIRS: usize = 4096;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    if !cli.describe.is_empty() {
        return describe::run(&cli.describe, session);
    }
    let inputs = session.inputs(&cli.records.files)?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    // A model that mnrl-train cannot train is refused before any work is done.
    model.check_trainable()?;
    model.weights()?;
    let has_prompt_flag = cli.query_prompt.is_some();
    let tokenizer = PairTokenizer::new(
        &model,
        (cli.query_prompt.as_deref(), cli.query_max_length),
        (cli.document_prompt.as_deref(), cli.document_max_length),
        cli.threads.count(),
    )?;
    let open = |file: &Option<PathBuf>| file.as_deref().map(Embeddings::open).transpose();
    let vectors = open(&cli.guide_queries)?.zip(open(&cli.guide_corpus)?);
    let guide = vectors.as_ref().map(|(queries, corpus)| Guide::new(queries, corpus)).transpose()?;
    let near_duplicate = cli.near_duplicates.near_duplicate;
    let max_record_bytes = cli.records.max_record_bytes;
    let cleaner = Cleaner::new(near_duplicate, &cli.exclude_queries, max_record_bytes, session)?;
    let meta = ShardMeta { guide: guide.as_ref().and_then(Guide::model), ..tokenizer.meta() };
    if let (Some(out), Some(holdout)) = (&cli.out, &cli.holdout_dir) {
        anyhow::ensure!(
            !is_inside(holdout, out),
            "--holdout-dir {} is inside --out {}, which appears as a whole\nhint: put it beside that directory",
            holdout.display(),
            out.display()
        );
    }
    let target = match (&cli.out, cli.shard_pairs) {
        (Some(directory), Some(pairs)) => Target::Directory(directory, pairs.get()),
        _ => Target::File(cli.output.as_deref()),
    };
    let shards = Shards::create(target, meta, guide.as_ref(), session)?;
    let holdout = match (cli.split.holdout, cli.holdout_dir) {
        (Some(share), Some(directory)) => {
            let split = HoldoutSplit { share, seed: cli.split.seed };
            Some(Holdout::create(split, directory, near_duplicate, session)?)
        }
        (None, None) => None,
        _ => anyhow::bail!("--holdout and --holdout-dir go together"),
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(cli.threads.count()).build().context("starting threads")?;
    let skipper = Skipper::new(cli.records.on_error, session);
    let mut packer = Packer {
        prompts: Prompts::new(tokenizer.query_prompt(), has_prompt_flag),
        tokenizer,
        ignored: IgnoredFields::default(),
        guide: guide.as_ref(),
        cleaner,
        holdout,
        shards,
        pool,
        counts: Counts::default(),
        session,
    };
    let progress = session.progress(None, "pairs");
    let mut batches = ReadAhead::new(inputs, max_record_bytes, BATCH_PAIRS);
    while let Some(batch) = batches.next()? {
        session.interrupt().check()?;
        let rows = batch.rows.len() as u64;
        packer.pack(batch, &skipper)?;
        progress.add(rows);
    }
    drop(progress);
    session.interrupt().check()?;
    check_unchanged()?;
    packer.finish()?;
    Ok(skipper.outcome())
}
