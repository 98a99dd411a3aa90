//! What mnrl-train does.

use anyhow::Context as _;
use embtune_cli::{Device, Interrupted, Outcome, Session};
use embtune_model::{ModelDir, check_target, locate};
use embtune_tensors::{check_unchanged, report_truncated_files};
use embtune_torch::{open_device, tch};

use crate::checkpoint::{self, Checkpoint, Checkpoints};
use crate::cli::Cli;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::distributed::{Crew, Team, World};
use crate::report::metrics::Metrics;
use crate::report::plan;
use crate::report::tensorboard::TensorBoard;
use crate::saved::{Trained, Unusable};
use crate::training::course::{Course, tensors};
use crate::training::dev::{DevSet, Encoding};
use crate::training::learner::Learner;
use crate::training::settings::settings;
use crate::training::tally::Tally;
use crate::training::trainer::{Lead, Trainer};
use crate::weights::merge::{Outcome as Chosen, choose};

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    report_truncated_files(session.error_lines());
    cli.check()?;
    if cli.engine.plan {
        let crew = Crew::from_environment()?;
        cli.check_world(crew.size)?;
        // What the first one says holds for each.
        return if crew.rank == 0 { train(&cli, &Team::alone(), crew, session) } else { Ok(Outcome::Done) };
    }
    let team = match World::from_environment()? {
        Some(world) => {
            cli.check_world(world.size)?;
            Team::join(world, cli.distributed.timeout(), session.interrupt())?
        }
        None => Team::alone(),
    };
    let outcome = train(&cli, &team, team.crew(), session);
    team.leave(outcome)
}

/// What each process of the training does; the first one also measures and writes.
fn train(cli: &Cli, team: &Team, crew: Crew, session: &Session) -> anyhow::Result<Outcome> {
    let base = ModelDir::open(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    base.trained()?;
    let writes = team.is_main();
    if writes {
        cli.check_inside_out()?;
        if let Some(slow) = check_target(&base, &cli.out, cli.overwrite)? {
            session.notice(slow);
        }
        if let Some(guess) = base.pooling_guess() {
            session.warn(guess);
        }
    }
    let checkpoints = if writes && !cli.engine.plan { Some(open_checkpoints(cli, session)?) } else { None };
    let shards = Shards::open(&cli.data, &base, team, session)?;
    let supply = shards.supply()?;
    cli.loss.check_supply(supply)?;
    let prompts = shards.prompts()?;
    if let Some(changes) = prompts.changes(&base).filter(|_| writes) {
        session.notice(changes);
    }
    let model = base.with_prompts(&prompts.query, &prompts.document);
    let config = model.trained()?;
    let device = open(cli, team, session)?;
    let unlinked = team.link_gpus(device)?;
    let threads = cli.ort.compute.threads.share(crew.here);
    tch::set_num_threads(threads as i32);

    let warn = |warning: String| {
        if writes {
            session.warn(warning);
        }
    };
    cli.loss.warning(model.dimension()).into_iter().chain(cli.loss.unread_labels(supply)).for_each(warn);
    if let Some(reason) = unlinked {
        warn(format!("the GPUs exchange gradients through the CPU, because NCCL does not run: {reason}"));
    }
    let mut learner = Learner::new(&model, config, cli, device, team)?;
    let encoding = Encoding { cosine: cli.loss.compares_cosines(), batch_tokens: learner.budget.batch_tokens, threads };
    let dev = if writes { DevSet::open(&cli.dev, &model, encoding, session)? } else { None };
    let sampler = Sampler::new(&shards, &cli.data, cli.training.batch_size as usize, cli.training.seed);
    if cli.engine.plan {
        plan::show(cli, &mut learner, &shards, &sampler, crew, session)?;
        return Ok(Outcome::Done);
    }
    let total = sampler.total_steps(cli.training.epochs, cli.training.gradient_accumulation);
    anyhow::ensure!(total > 0, "--weights leave no pair to train on\nhint: raise them, or --epochs");
    let schedule = cli.optimizer.schedule(total);
    if schedule.warmup >= total {
        let (warmup, peak) = (schedule.warmup, schedule.peak);
        warn(format!(
            "{warmup} warm-up steps, but {total} steps in all: the learning rate never reaches {peak}\nhint: lower --warmup-steps"
        ));
    }

    let fingerprint = model.fingerprint()?;
    let mut settings = settings(cli, &fingerprint, model.dimension(), &shards)?;
    team.agree(&settings)?;
    // Only the first process has the dev set, and only it reads checkpoints.
    settings.insert("the dev set".into(), dev.as_ref().map(DevSet::fingerprint).into());
    let mut course = Course::new(cli, settings);
    let checkpoint = checkpoints.as_ref().map(|folder| find(cli, folder, session)).transpose()?.flatten();
    course.resume(checkpoint.as_ref(), cli, &mut learner, team)?;
    let lead = match checkpoints {
        Some(checkpoints) => Some(lead(cli, &course, &learner, dev, checkpoints, checkpoint.is_some(), session)?),
        None => None,
    };
    drop(checkpoint);
    let mut trainer = Trainer { cli, learner, shards: &shards, sampler, schedule, session, team, lead };
    // Data that another program has changed explains whatever else went wrong.
    trainer.train(&mut course).map_err(|error| match check_unchanged() {
        Err(changed) if !error.is::<Interrupted>() => changed.into(),
        _ => error,
    })?;
    if !writes {
        return Ok(Outcome::Done);
    }
    let outcome = choose(&mut trainer, &course)?;
    let Trainer { mut learner, lead: Some(Lead { dev, mut checkpoints, metrics }), .. } = trainer else {
        return Ok(Outcome::Done);
    };
    learner
        .with_values(&outcome.values, |learner| {
            let (dev, course, outcome) = (dev.as_ref(), &course, &outcome);
            let trained = Trained { cli, learner, shards: &shards, dev, course, outcome, schedule, threads, session };
            trained.save(&fingerprint)
        })
        .or_else(|error| keep(error, &course, &learner, &mut checkpoints, session))?;
    // It may be worth having, and stays; but it is no training on this data.
    let changed = check_unchanged();
    checkpoints.remove_all()?;
    for head in model.other_heads() {
        session.warn(format!("{head} is copied, but was not trained: it no longer fits the encoder"));
    }
    tell(cli, &course, &outcome, session);
    metrics.whole().with_context(|| format!("{} is saved, but its log is not whole", cli.out.display()))?;
    match changed {
        Ok(()) => Ok(Outcome::Done),
        Err(error) => {
            session.warn(error.to_string());
            Ok(Outcome::Incomplete)
        }
    }
}

/// Says what the training gave.
fn tell(cli: &Cli, course: &Course, outcome: &Chosen, session: &Session) {
    let Tally { compared, idle, .. } = course.tally;
    if compared == 0 {
        session.warn(cli.loss.nothing_compared());
    } else if idle > 0 {
        let message = format!(
            "{idle} of {} batches had nothing to compare, as a single pair or pairs that are all masked have: nothing was learnt from them, and they do not count in the loss",
            compared + idle
        );
        if idle > compared { session.warn(message) } else { session.notice(message) }
    }
    let dev = outcome.score.map_or_else(String::new, |score| format!(", {score} on the dev set"));
    session.notice(format!(
        "{} steps, {:.0} tokens/s, final loss {}{dev}: saved {}",
        course.step,
        course.tokens as f64 / course.seconds.max(1e-9),
        course.tally.shown_loss(),
        cli.out.display()
    ));
}

/// Keeps a training whose model could not be saved in a checkpoint: it may have taken days.
fn keep(
    error: anyhow::Error,
    course: &Course,
    learner: &Learner<'_>,
    checkpoints: &mut Checkpoints,
    session: &Session,
) -> anyhow::Result<()> {
    if error.is::<Unusable>() {
        return Err(error);
    }
    let place = checkpoints.folder().display().to_string();
    match course.save(learner, |progress, tensors| checkpoints.save(progress, tensors)) {
        Ok(()) => session.notice(format!("the trained weights are kept in {place}: --resume tries again to save them")),
        Err(second) => session.warn(format!("the trained weights are lost: {second:#}")),
    }
    Err(error)
}

/// The device of this process: of several on a machine with GPUs, each has its own.
fn open(cli: &Cli, team: &Team, session: &Session) -> anyhow::Result<tch::Device> {
    let opened = open_device(cli.ort.compute.device)?;
    if let Some(reason) = &opened.fallback {
        session.warn(format!("CUDA does not run, so the CPU does: {reason}"));
    }
    let device = match team.local_rank() {
        // Slurm may show each process a GPU of its own only, which is the first of one.
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

/// Takes the folder of the checkpoints before anything is loaded.
fn open_checkpoints(cli: &Cli, session: &Session) -> anyhow::Result<Checkpoints> {
    let mut checkpoints = Checkpoints::open(&cli.checkpoint.folder(&cli.out), cli.checkpoint.keep)?;
    checkpoints.warning().iter().for_each(|warning| session.warn(warning));
    if !cli.checkpoint.resume {
        checkpoints.check_unused()?;
    }
    Ok(checkpoints)
}

/// The newest checkpoint, if it is to be gone on from.
fn find(cli: &Cli, checkpoints: &Checkpoints, session: &Session) -> anyhow::Result<Option<Checkpoint>> {
    if !cli.checkpoint.resume {
        return Ok(None);
    }
    let found = checkpoints.latest(|message| session.warn(message))?;
    if found.is_none() {
        session.notice("no checkpoint to go on from: beginning anew");
    }
    Ok(found)
}

/// What the first process writes to, when there is room for it.
fn lead(
    cli: &Cli,
    course: &Course,
    learner: &Learner<'_>,
    dev: Option<DevSet>,
    checkpoints: Checkpoints,
    resumes: bool,
    session: &Session,
) -> anyhow::Result<Lead> {
    if resumes {
        session.notice(format!("going on behind step {}", course.step));
    }
    let checkpoint = cli.checkpoint.checkpoint_every.map(|_| checkpoint::bytes(&tensors(learner)));
    let best = dev.as_ref().map(|_| checkpoint::bytes(&[("values", &learner.parameters.values)]));
    checkpoints.check_room(checkpoint, best)?;
    let resumed = resumes.then_some(course.step);
    let board = cli.tensorboard.as_deref().map(|folder| TensorBoard::create(folder, resumed)).transpose()?;
    Ok(Lead { dev, checkpoints, metrics: Metrics::new(session.output(None)?, board) })
}
