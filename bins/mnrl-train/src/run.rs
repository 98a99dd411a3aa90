//! What mnrl-train does.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use embtune_cli::{Device, Outcome, Session};
use embtune_model::{ModelDir, check_target, locate, save};
use embtune_onnx::{PORTABLE_FILE, portable};
use embtune_torch::{open_device, tch};

use crate::card::card;
use crate::cli::Cli;
use crate::metrics::Metrics;
use crate::sampler::Sampler;
use crate::shards::Shards;
use crate::trainer::Trainer;
use crate::waiting::prefer_sleep;

pub(crate) fn run(cli: Cli, session: &Session) -> anyhow::Result<Outcome> {
    prefer_sleep();
    let model = ModelDir::open(&locate(&cli.model.model, cli.model.offline)?)?;
    check_target(&model, &cli.out, cli.overwrite)?;
    let shards = Shards::open(&cli.data, &model, session)?;
    let opened = open_device(cli.compute.device)?;
    if let Some(reason) = &opened.fallback {
        session.warn(format!("CUDA does not run, so the CPU does: {reason}"));
    }
    if cli.compute.device == Device::Auto && opened.device.is_cuda() {
        session.notice("running on cuda:0");
    }
    tch::set_num_threads(cli.compute.threads.count() as i32);

    let mut trainer = Trainer::new(&model, &cli.training, opened.device)?;
    let mut metrics = Metrics::new(session.output(None)?);
    let sampler = Sampler::new(&shards, &cli.data, cli.training.batch_size as usize, cli.training.seed);
    let summary = trainer.train(&shards, &sampler, &mut metrics, session)?;
    let card = card(&cli, &model, &shards, &summary)?;
    save(&model, &trainer.weights()?, &cli.out, cli.overwrite, |folder| finish(folder, &card))?;
    session.notice(format!(
        "{} steps, {:.0} tokens/s, final loss {:.4}: saved {}",
        summary.steps,
        summary.tokens as f64 / summary.seconds,
        summary.final_loss,
        cli.out.display()
    ));
    Ok(Outcome::Done)
}

/// Adds the ONNX graph and the card to the directory before it appears.
fn finish(folder: &Path, card: &str) -> anyhow::Result<()> {
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).with_context(|| name.to_owned());
    write(PORTABLE_FILE, &portable(&ModelDir::open(folder)?)?)?;
    write("README.md", card.as_bytes())
}
