//! The training loop.

use std::time::Instant;

use embtune_cli::Session;

use crate::batch::Batch;
use crate::cli::Cli;
use crate::learner::{BatchLoss, Learner};
use crate::memory;
use crate::metrics::{Metrics, Step};
use crate::sampler::batches;
use crate::shards::Shards;

/// What a training was, for the model card.
pub(crate) struct Summary {
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
    /// Mean over the last tenth of the steps.
    pub(crate) final_loss: f64,
}

/// Trains for all epochs.
pub(crate) fn train(
    learner: &mut Learner<'_>,
    cli: &Cli,
    shards: &Shards,
    metrics: &mut Metrics,
    session: &Session,
) -> anyhow::Result<Summary> {
    let accumulation = cli.training.gradient_accumulation as usize;
    let batch_size = cli.training.batch_size as usize;
    let batches_an_epoch = shards.pairs().div_ceil(batch_size);
    let steps_an_epoch = batches_an_epoch.div_ceil(accumulation) as u64;
    let total = steps_an_epoch * u64::from(cli.training.epochs);
    let schedule = cli.optimizer.schedule(total);
    let progress = session.progress(Some(total), "steps");
    let start = Instant::now();
    let (mut step, mut tokens, mut number) = (0, 0, 0);
    let mut losses = Vec::new();
    for epoch in 0..cli.training.epochs {
        for group in batches(shards.pairs(), batch_size, cli.training.seed, epoch).chunks(accumulation) {
            let began = Instant::now();
            let (mut loss, mut masked, mut step_tokens) = (0.0, 0, 0);
            for pairs in group {
                let batch = Batch::gather(shards, pairs);
                let share = 1.0 / group.len() as f64;
                let found = learner.accumulate(&batch, number, share)?;
                number += 1;
                check_finite(&found, step + 1, pairs, shards)?;
                loss += found.loss * share;
                masked += found.masked;
                step_tokens += batch.tokens();
            }
            let (grad_norm, divisor) = learner.clip()?;
            anyhow::ensure!(grad_norm.is_finite(), diverged(step + 1, loss, grad_norm));
            let learning_rate = schedule.rate(step);
            learner.update(learning_rate, &divisor)?;
            step += 1;
            tokens += step_tokens;
            losses.push(loss);
            metrics.write(&Step {
                step,
                epoch: step as f64 / steps_an_epoch as f64,
                loss,
                learning_rate,
                grad_norm,
                tokens: step_tokens,
                tokens_per_sec: step_tokens as f64 / began.elapsed().as_secs_f64(),
                masked,
                memory_mb: memory::peak(learner.device)? >> 20,
            })?;
            progress.add(1);
            progress.message(format!("loss {loss:.4}"));
            session.interrupt().check()?;
        }
    }
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    let final_loss = last.iter().sum::<f64>() / last.len() as f64;
    Ok(Summary { steps: step, tokens, seconds: start.elapsed().as_secs_f64(), final_loss })
}

fn check_finite(found: &BatchLoss, step: u64, pairs: &[usize], shards: &Shards) -> anyhow::Result<()> {
    if found.broken.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = found
        .broken
        .iter()
        .take(5)
        .map(|place| {
            let (shard, pair) = shards.find(pairs[*place]);
            format!("{} of {}", pair + 1, shard.name())
        })
        .collect();
    let more = if found.broken.len() > names.len() { ", …" } else { "" };
    anyhow::bail!("{}\nhint: the pairs are {}{more}", diverged(step, found.loss, f64::NAN), names.join(", "))
}

fn diverged(step: u64, loss: f64, grad_norm: f64) -> String {
    format!("step {step}: loss {loss}, gradient norm {grad_norm}: the training has diverged, nothing is saved\nhint: lower --learning-rate, or raise --warmup-steps")
}
