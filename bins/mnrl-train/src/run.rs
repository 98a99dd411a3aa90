//! What mnrl-train does.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::{Device, Outcome, Session};
use embtune_model::{ModelDir, check_target, locate, save};
use embtune_onnx::{PORTABLE_FILE, portable};
use embtune_torch::{open_device, tch};

use crate::checkpoint::{self, Checkpoint, Checkpoints};
use crate::cli::Cli;
use crate::cli::environment::prepare;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::distributed::{Crew, Team, World};
use crate::report::card::card;
use crate::report::metrics::Metrics;
use crate::report::plan;
use crate::report::tensorboard::TensorBoard;
use crate::training::course::{Course, tensors};
use crate::training::dev::{DevSet, Encoding};
use crate::training::learner::Learner;
use crate::training::settings::settings;
use crate::training::trainer::{Lead, Trainer};
use crate::weights::merge::merge_base;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    prepare();
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
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.hub.offline)?)?;
    let config = model.trained()?;
    let writes = team.is_main();
    if writes {
        check_target(&model, &cli.out, cli.overwrite)?;
        if let Some(guess) = model.pooling_guess() {
            session.warn(guess);
        }
    }
    let checkpoints = if writes && !cli.engine.plan { Some(open_checkpoints(cli)?) } else { None };
    let shards = Shards::open(&cli.data, &model, team, session)?;
    cli.loss.check_supply(shards.supply()?)?;
    let device = open(cli, team, session)?;
    let unlinked = team.link_gpus(device)?;
    let threads = cli.compute.threads.share(crew.here);
    tch::set_num_threads(threads as i32);

    let warn = |warning: String| {
        if writes {
            session.warn(warning);
        }
    };
    cli.loss.warning(model.dimension()).into_iter().for_each(warn);
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
    let settings = settings(cli, &fingerprint, model.dimension(), &shards)?;
    team.agree(&settings)?;
    let mut course = Course::new(cli, total, settings);
    let checkpoint = checkpoints.as_ref().map(|folder| find(cli, folder, session)).transpose()?.flatten();
    course.resume(checkpoint.as_ref(), cli, &mut learner, team)?;
    let lead = match checkpoints {
        Some(checkpoints) => Some(lead(cli, &course, &learner, dev, checkpoints, checkpoint.is_some(), session)?),
        None => None,
    };
    drop(checkpoint);
    let mut trainer = Trainer { cli, learner, shards: &shards, sampler, schedule, session, team, lead };
    trainer.train(&mut course)?;
    if !writes {
        return Ok(Outcome::Done);
    }
    let outcome = merge_base(&mut trainer, &course)?;

    let mut weights = trainer.learner.weights()?;
    let card = card(cli, &fingerprint, &model, &shards, &course, &outcome)?;
    let adapter = cli.optimizer.lora.as_ref().map(|lora| {
        let (merged, changes) = lora.merge(std::mem::take(&mut weights), &model.parameters());
        weights = merged;
        (lora, changes)
    });
    save(&model, &weights, &cli.out, cli.overwrite, |folder| {
        if let Some((lora, changes)) = &adapter {
            lora.save_adapter(changes, &cli.model.model, &folder.join("adapter"))?;
        }
        finish(folder, &card)
    })?;
    if let Some(lead) = trainer.lead {
        lead.checkpoints.remove_all()?;
    }
    for head in model.other_heads() {
        session.warn(format!("{head} is copied, but was not trained: it no longer fits the encoder"));
    }
    let dev = outcome.score.map_or_else(String::new, |score| format!(", {score} on the dev set"));
    session.notice(format!(
        "{} steps, {:.0} tokens/s, final loss {:.4}{dev}: saved {}",
        course.step,
        course.tokens as f64 / course.seconds.max(1e-9),
        course.recent_loss(),
        cli.out.display()
    ));
    Ok(Outcome::Done)
}

/// The device of this process: of several on a machine with GPUs, each has its own.
fn open(cli: &Cli, team: &Team, session: &Session) -> anyhow::Result<tch::Device> {
    let opened = open_device(cli.compute.device)?;
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
    if let (Device::Auto, tch::Device::Cuda(index)) = (cli.compute.device, device) {
        session.notice(format!("running on cuda:{index}"));
    }
    Ok(device)
}

/// Takes the folder of the checkpoints before anything is loaded.
fn open_checkpoints(cli: &Cli) -> anyhow::Result<Checkpoints> {
    let checkpoints = Checkpoints::open(&cli.checkpoint.folder(&cli.out), cli.checkpoint.keep)?;
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

/// Adds the ONNX graph and the card to the directory before it appears.
fn finish(folder: &Path, card: &str) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
    write(PORTABLE_FILE, &portable(&ModelDir::open(folder)?)?)?;
    write("README.md", card.as_bytes())
}
