//! What mnrl-train does.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::{Device, Outcome, Session};
use embtune_model::{ModelDir, check_target, locate, save};
use embtune_onnx::{PORTABLE_FILE, portable};
use embtune_torch::{open_device, tch};

use crate::checkpoint::{self, Checkpoints};
use crate::cli::Cli;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::dev::{DevSet, Encoding};
use crate::environment::prepare;
use crate::network::trained;
use crate::report::card::card;
use crate::report::metrics::Metrics;
use crate::report::plan;
use crate::report::tensorboard::TensorBoard;
use crate::training::course::{Course, tensors};
use crate::training::learner::Learner;
use crate::training::settings::settings;
use crate::training::trainer::Trainer;
use crate::weights::merge::merge_base;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    prepare();
    cli.check()?;
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.offline)?)?;
    let config = trained(&model)?;
    check_target(&model, &cli.out, cli.overwrite)?;
    let checkpoints = if cli.engine.plan { None } else { Some(open_checkpoints(&cli)?) };
    let shards = Shards::open(&cli.data, &model, session)?;
    cli.loss.check_supply(shards.supply()?)?;
    let device = open(&cli, session)?;
    let threads = cli.compute.threads.count();
    tch::set_num_threads(threads as i32);

    if let Some(warning) = cli.loss.warning(model.dimension()) {
        session.warn(warning);
    }
    let mut learner = Learner::new(&model, config, &cli, device)?;
    let encoding = Encoding { cosine: cli.loss.compares_cosines(), batch_tokens: learner.budget.batch_tokens, threads };
    let dev = DevSet::open(&cli.dev, &model, encoding, session)?;
    let sampler = Sampler::new(&shards, &cli.data, cli.training.batch_size as usize, cli.training.seed);
    let Some(checkpoints) = checkpoints else {
        plan::show(&cli, &mut learner, &shards, &sampler, session)?;
        return Ok(Outcome::Done);
    };
    let total = sampler.total_steps(cli.training.epochs, cli.training.gradient_accumulation);
    anyhow::ensure!(total > 0, "--weights leave no pair to train on\nhint: raise them, or --epochs");
    let schedule = cli.optimizer.schedule(total);
    if schedule.warmup >= total {
        let (warmup, peak) = (schedule.warmup, schedule.peak);
        session.warn(format!(
            "{warmup} warm-up steps, but {total} steps in all: the learning rate never reaches {peak}\nhint: lower --warmup-steps"
        ));
    }

    let fingerprint = model.fingerprint()?;
    let mut course = Course::new(&cli, total, settings(&cli, &fingerprint, model.dimension(), &shards)?);
    let resumed = resume(&cli, &checkpoints, &mut course, &mut learner, session)?;
    let checkpoint = cli.checkpoint.checkpoint_every.map(|_| checkpoint::bytes(&tensors(&learner)));
    let best = dev.as_ref().map(|_| checkpoint::bytes(&[("values", &learner.parameters.values)]));
    checkpoints.check_room(checkpoint, best)?;
    let board = cli.tensorboard.as_deref().map(|folder| TensorBoard::create(folder, resumed)).transpose()?;
    let metrics = Metrics::new(session.output(None)?, board);
    let mut trainer =
        Trainer { cli: &cli, learner, shards: &shards, sampler, schedule, dev, checkpoints, metrics, session };
    trainer.train(&mut course)?;
    let outcome = merge_base(&mut trainer, &course)?;

    let mut weights = trainer.learner.weights()?;
    let card = card(&cli, &fingerprint, &model, &shards, &course, &outcome)?;
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
    trainer.checkpoints.remove_all()?;
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

fn open(cli: &Cli, session: &Session) -> anyhow::Result<tch::Device> {
    let opened = open_device(cli.compute.device)?;
    if let Some(reason) = &opened.fallback {
        session.warn(format!("CUDA does not run, so the CPU does: {reason}"));
    }
    if cli.compute.device == Device::Auto && opened.device.is_cuda() {
        session.notice("running on cuda:0");
    }
    Ok(opened.device)
}

/// Takes the folder of the checkpoints before anything is loaded.
fn open_checkpoints(cli: &Cli) -> anyhow::Result<Checkpoints> {
    let checkpoints = Checkpoints::open(&cli.checkpoint.folder(&cli.out), cli.checkpoint.keep)?;
    if !cli.checkpoint.resume {
        checkpoints.check_unused()?;
    }
    Ok(checkpoints)
}

/// Goes to the newest checkpoint if that is wanted, and gives its step.
fn resume(
    cli: &Cli,
    checkpoints: &Checkpoints,
    course: &mut Course,
    learner: &mut Learner<'_>,
    session: &Session,
) -> anyhow::Result<Option<u64>> {
    if !cli.checkpoint.resume {
        return Ok(None);
    }
    let Some(checkpoint) = checkpoints.latest(|message| session.warn(message))? else {
        session.notice("no checkpoint to go on from: beginning anew");
        return Ok(None);
    };
    course.resume(&checkpoint, cli, learner)?;
    session.notice(format!("going on behind step {}", course.step));
    Ok(Some(course.step))
}

/// Adds the ONNX graph and the card to the directory before it appears.
fn finish(folder: &Path, card: &str) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
    write(PORTABLE_FILE, &portable(&ModelDir::open(folder)?)?)?;
    write("README.md", card.as_bytes())
}
