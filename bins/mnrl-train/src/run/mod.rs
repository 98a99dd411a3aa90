//! The course of a run: from flags to a saved model.

mod paths;

use anyhow::Context as _;
use embtune_cli::{Device, Interrupted, Outcome, Session, counted};
use embtune_model::{ModelDir, check_target, locate};
use embtune_tensors::{check_unchanged, report_truncated_files};
use embtune_torch::{open_device, tch};
use serde_json::{Map, Value};

use crate::checkpoint::{self, Checkpoint, Checkpoints, TrainerState};
use crate::cli::Cli;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::dev_set::{DevSet, Encoding};
use crate::distributed::{ProcessGroup, RankInfo, Rendezvous};
use crate::export::{TrainedModel, UnusableWeights};
use crate::metrics::{MetricsLog, TensorBoard};
use crate::plan;
use crate::training::config::check_same_settings;
use crate::training::final_weights::{FinalWeights, MergeBase, final_weights};
use crate::training::learner::Learner;
use crate::training::schedule::Schedule;
use crate::training::trainer::{MainProcess, Trainer};
use crate::training::{resume, save};

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    if cli.plan {
        let ranks = RankInfo::from_environment()?;
        check(&cli, ranks.world_size)?;
        // The estimate is the same for every process, so the first one prints it.
        return if ranks.rank == 0 { train(&cli, &ProcessGroup::single(), ranks, session) } else { Ok(Outcome::Done) };
    }
    let rendezvous = Rendezvous::from_environment()?;
    check(&cli, rendezvous.as_ref().map_or(1, |rendezvous| rendezvous.world_size))?;
    let group = match rendezvous {
        Some(rendezvous) => {
            let timeout = std::time::Duration::from_secs(cli.dist_timeout.get().into());
            ProcessGroup::join(rendezvous, timeout, session.interrupt())?
        }
        None => ProcessGroup::single(),
    };
    let outcome = train(&cli, &group, group.rank_info(), session);
    group.leave(outcome)
}

/// Refuses flags that do not go together, as far as clap cannot check it.
///
/// # Errors
/// The flags.
fn check(cli: &Cli, world_size: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        cli.merge_base != Some(MergeBase::Auto) || cli.training.dev.dev_queries.is_some(),
        "--merge-base auto needs a dev set\nhint: name one with --dev-queries, --dev-corpus and --dev-qrels"
    );
    let pairs = cli.training.sampler.batch_size;
    anyhow::ensure!(
        pairs as usize >= world_size,
        "--batch-size is {pairs}, but WORLD_SIZE is {world_size}: there is not a pair for each process\nhint: --batch-size is that of all processes together"
    );
    Ok(())
}

/// What each process does; the main process also evaluates and writes.
fn train(cli: &Cli, group: &ProcessGroup, ranks: RankInfo, session: &Session) -> anyhow::Result<Outcome> {
    let base = ModelDir::open(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    base.check_trainable()?;
    let is_main = group.is_main_process();
    if is_main {
        paths::check_paths(cli)?;
        for warning in check_target(&base, &cli.out, cli.overwrite)? {
            session.notice(warning);
        }
        if let Some(guess) = base.pooling_guess() {
            session.warn(guess);
        }
    }
    let checkpoints = if is_main && !cli.plan { Some(open_checkpoints(cli, session)?) } else { None };
    let args = &cli.training;
    let part = RankInfo { rank: group.rank(), world_size: group.world_size(), ..ranks };
    let shards = Shards::open(&args.data, part, &base, session)?;
    let objective = args.loss.objective(base.dimension())?;
    let (loss, columns) = (objective.name(), shards.columns()?);
    let needs = objective.loss.needs();
    needs.check(&loss, columns)?;
    let prompts = shards.prompts()?;
    if let Some(changes) = prompts.changes(&base).filter(|_| is_main) {
        session.notice(changes);
    }
    let model = base.with_prompts(&prompts.query, &prompts.document);
    let device = open(cli, group, session)?;
    let unlinked = group.link_gpus(device)?;
    let threads = cli.ort.compute.threads.share(ranks.local_world_size);
    tch::set_num_threads(threads as i32);

    let warn = |warning: String| {
        if is_main {
            session.warn(warning);
        }
    };
    objective.warning(model.dimension()).into_iter().chain(needs.unread_labels(&loss, columns)).for_each(warn);
    if let Some(reason) = unlinked {
        warn(format!("the GPUs exchange gradients through the CPU, because NCCL does not run: {reason}"));
    }
    let mut settings: Map<String, Value> = [
        ("base model", model.fingerprint()?),
        ("the prompt of queries", prompts.query),
        ("the prompt of documents", prompts.document),
        ("training data", shards.fingerprint()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.into()))
    .chain(args.values(&objective)?)
    .collect();
    let cosine = objective.loss.searches_by_cosine();
    let mut learner = Learner::new(&model, args.learner.clone(), args.sampler.seed, objective, device, group)?;
    let encoding = Encoding { cosine, batch_tokens: learner.budget.batch_tokens, threads };
    let dev = if is_main { DevSet::open(&args.dev, encoding, &model, session)? } else { None };
    let sampler = Sampler::new(&shards, args.sampler);
    if cli.plan {
        plan::show(ranks, &mut learner, &shards, &sampler, session)?;
        return Ok(Outcome::Done);
    }
    let total = sampler.total_steps(args.sampler.epochs, args.sampler.gradient_accumulation);
    anyhow::ensure!(total > 0, "--weights leave no pair to train on\nhint: raise them, or --epochs");
    let schedule = Schedule::new(&args.schedule, total);
    if schedule.warmup >= total {
        let (warmup, peak) = (schedule.warmup, schedule.peak);
        warn(format!(
            "{warmup} warm-up steps, but only {total} steps in all: the learning rate never reaches {peak}\nhint: lower --warmup-steps"
        ));
    }

    check_same_settings(group, &settings)?;
    // Only the main process has the dev set, and only it reads checkpoints.
    settings.insert("the dev set".into(), dev.as_ref().map(DevSet::fingerprint).into());
    let checkpoint = checkpoints.as_ref().map(|folder| find_checkpoint(cli, folder, session)).transpose()?.flatten();
    let mut state =
        resume(TrainerState { settings, ..TrainerState::default() }, checkpoint.as_ref(), &mut learner, group)?;
    let main = match checkpoints {
        Some(checkpoints) => {
            Some(main_process(cli, &state, &learner, dev, checkpoints, checkpoint.is_some(), session)?)
        }
        None => None,
    };
    drop(checkpoint);
    let checkpoint_every = cli.checkpoint.checkpoint_every;
    let mut trainer =
        Trainer { dev: &args.dev, checkpoint_every, learner, shards: &shards, sampler, schedule, session, group, main };
    // If another program has changed the data, that explains any other error.
    trainer.train(&mut state).map_err(|error| match check_unchanged() {
        Err(changed) if !error.is::<Interrupted>() => changed.into(),
        _ => error,
    })?;
    if !is_main {
        return Ok(Outcome::Done);
    }
    let weights = final_weights(&mut trainer, &state, cli.merge_base)?;
    let Trainer { mut learner, main: Some(MainProcess { dev, mut checkpoints, log }), .. } = trainer else {
        return Ok(Outcome::Done);
    };
    learner
        .with_values(&weights.values, |learner| {
            TrainedModel {
                out: &cli.out,
                overwrite: cli.overwrite,
                base: &cli.model.model,
                ort_library: cli.ort.ort_library.as_deref(),
                threads,
                args,
                learner,
                shards: &shards,
                dev: dev.as_ref(),
                state: &state,
                weights: &weights,
                schedule,
                session,
            }
            .save()
        })
        .or_else(|error| keep(error, &state, &learner, &mut checkpoints, session))?;
    // The model may still be useful and stays, but it was not trained on this data.
    let changed = check_unchanged();
    checkpoints.remove_all()?;
    for head in model.other_heads() {
        session.warn(format!("{head} is copied, but was not trained: it no longer fits the encoder"));
    }
    summarize(cli, &learner, &state, &weights, session);
    log.check_complete().with_context(|| format!("{} is saved, but its log is incomplete", cli.out.display()))?;
    match changed {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            session.warn(error.to_string());
            Ok(Outcome::Incomplete)
        }
    }
}

/// Reports the result of the training.
fn summarize(cli: &Cli, learner: &Learner<'_>, state: &TrainerState, weights: &FinalWeights, session: &Session) {
    let (compared, idle) = (state.loss.compared, state.loss.idle);
    if compared == 0 {
        session.warn(learner.objective.loss.nothing_compared());
    } else if idle > 0 {
        let message = format!(
            "{idle} of {} batches had nothing to compare, such as a single pair or pairs that are all masked: nothing was learnt from them, and they are not part of the loss",
            compared + idle
        );
        if idle > compared { session.warn(message) } else { session.notice(message) }
    }
    let dev = weights.scores.map_or_else(String::new, |scores| format!(", {scores} on the dev set"));
    session.notice(format!(
        "{}, {:.0} tokens/s, final loss {}{dev}: saved {}",
        counted(state.step, "step", "steps"),
        state.tokens as f64 / state.seconds.max(1e-9),
        state.loss.shown(),
        cli.out.display()
    ));
}

/// If the model could not be saved, keeps its weights in a checkpoint, because the training may have taken days.
fn keep(
    error: anyhow::Error,
    state: &TrainerState,
    learner: &Learner<'_>,
    checkpoints: &mut Checkpoints,
    session: &Session,
) -> anyhow::Result<()> {
    if error.is::<UnusableWeights>() {
        return Err(error);
    }
    let place = checkpoints.folder.display().to_string();
    match save(state, learner, checkpoints) {
        Ok(()) => session.notice(format!("the trained weights are kept in {place}: --resume tries again to save them")),
        Err(second) => session.warn(format!("the trained weights are lost: {second:#}")),
    }
    Err(error)
}

/// The device of this process: with several processes on a machine with GPUs, each uses another GPU.
fn open(cli: &Cli, group: &ProcessGroup, session: &Session) -> anyhow::Result<tch::Device> {
    let opened = open_device(cli.ort.compute.device)?;
    if let Some(reason) = &opened.fallback {
        session.warn(format!("running on the CPU, because CUDA does not run: {reason}"));
    }
    let device = match group.local_rank() {
        // Slurm may show each process only its own GPU, which then has the index 0.
        Some(index) if opened.device.is_cuda() => {
            open_device(Device::Cuda(index % tch::Cuda::device_count().max(1) as usize))?.device
        }
        _ => opened.device,
    };
    if let (Device::Auto, tch::Device::Cuda(index)) = (cli.ort.compute.device, device) {
        session.notice(format!("running on cuda:{index}"));
    }
    Ok(device)
}

/// Locks the folder of the checkpoints before anything is loaded.
fn open_checkpoints(cli: &Cli, session: &Session) -> anyhow::Result<Checkpoints> {
    let mut checkpoints = Checkpoints::open(cli.checkpoint.folder(&cli.out), cli.checkpoint.keep)?;
    checkpoints.warning().iter().for_each(|warning| session.warn(warning));
    if !cli.checkpoint.resume {
        checkpoints.check_unused()?;
    }
    Ok(checkpoints)
}

/// The newest checkpoint, with `--resume`.
fn find_checkpoint(cli: &Cli, checkpoints: &Checkpoints, session: &Session) -> anyhow::Result<Option<Checkpoint>> {
    if !cli.checkpoint.resume {
        return Ok(None);
    }
    let found = checkpoints.latest(|message| session.warn(message))?;
    if found.is_none() {
        session.notice("no checkpoint found; starting from scratch");
    }
    Ok(found)
}

/// The evaluator and the outputs of the main process, if the disk has room for them.
fn main_process(
    cli: &Cli,
    state: &TrainerState,
    learner: &Learner<'_>,
    dev: Option<DevSet>,
    checkpoints: Checkpoints,
    resumes: bool,
    session: &Session,
) -> anyhow::Result<MainProcess> {
    if resumes {
        session.notice(format!("resuming after step {}", state.step));
    }
    let checkpoint = cli.checkpoint.checkpoint_every.map(|_| checkpoint::bytes(&learner.tensors()));
    let best = dev.as_ref().map(|_| checkpoint::bytes(&[("values", &learner.parameters.values)]));
    checkpoints.check_room(checkpoint, best)?;
    let resumed = resumes.then_some(state.step);
    let board = cli.tensorboard.as_deref().map(|folder| TensorBoard::create(folder, resumed)).transpose()?;
    Ok(MainProcess { dev, checkpoints, log: MetricsLog::new(session.output(None)?, board) })
}
