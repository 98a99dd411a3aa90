//! `--plan`: what a training will take, before it begins.

mod estimate;
mod table;

use std::io::Write as _;
use std::time::Instant;

use embtune_cli::Session;
use embtune_torch::tch::Device;

use crate::cli::Cli;
use crate::data::batch::Batch;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::distributed::Crew;
use crate::loss;
use crate::training::learner::Learner;
use crate::training::memory;
use estimate::{BatchRows, Costs, plan};

/// Bytes of the program and libtorch, beside the model's own file, which is mapped (measured on the CPU).
const PROGRAM: u64 = 256 << 20;
/// Micro-batches whose time is measured.
const MEASURED: usize = 3;

/// Measures a few micro-batches, and prints the plan.
///
/// # Errors
/// What libtorch says, a closed stdout.
pub(crate) fn show(
    cli: &Cli,
    learner: &mut Learner<'_>,
    shards: &Shards,
    sampler: &Sampler,
    crew: Crew,
    session: &Session,
) -> anyhow::Result<()> {
    let (trainable, frozen) = learner.parameters.counts();
    let config = learner.config;
    let kind = cli.engine.precision.kind();
    let budget = learner.budget;
    let weights_file = std::fs::metadata(learner.model.weights_file()).map_or(0, |metadata| metadata.len());
    let bytes_per_token = |length: usize| memory::bytes_a_token(config, kind, length) as f64;
    let loss_bytes = |pairs: usize, documents: usize| loss::bytes(pairs, documents);
    // What is multiplied with: in another type, or changed by LoRA.
    let has_copy = kind.elt_size_in_bytes() < 4 || cli.optimizer.lora.is_some();
    let costs = Costs {
        parameters: trainable + frozen,
        trainable,
        copy_bytes: if has_copy { kind.elt_size_in_bytes() as u64 } else { 0 }
            + if cli.optimizer.ema.is_some() { 4 } else { 0 },
        bytes_per_token: &bytes_per_token,
        loss_bytes: &loss_bytes,
        hidden: learner.model.dimension(),
        program: PROGRAM + weights_file + budget.batch_tokens as u64 * memory::working_bytes_a_token(config, kind),
        batch_tokens: budget.batch_tokens,
        live_tokens: budget.live_tokens,
        processes: crew.size,
    };
    // Processes on GPUs have one each.
    let sharing = if learner.device == Device::Cpu { crew.here as u64 } else { 1 };
    let available = memory::free(learner.device)?.map(|bytes| bytes / sharing);
    let rows = |pairs: &Vec<usize>| BatchRows { pairs: pairs.len(), lengths: shards.lengths(pairs) };
    let batches_a_step = cli.training.gradient_accumulation as usize;
    let steps = (0..cli.training.epochs).flat_map(|epoch| {
        let batches = sampler.epoch(epoch);
        batches.chunks(batches_a_step).map(|step| step.iter().map(rows).collect()).collect::<Vec<_>>()
    });
    let rate = measure(learner, shards, sampler)? * crew.size as f64;
    let plan = plan(cli.training.epochs, steps, &costs, available, Some(rate));
    let mut out = session.output(None)?;
    write!(out, "{plan}")?;
    Ok(out.flush()?)
}

/// Tokens a second of the first pairs of the first batch.
fn measure(learner: &mut Learner<'_>, shards: &Shards, sampler: &Sampler) -> anyhow::Result<f64> {
    let pairs = sampler.epoch(0).into_iter().next().unwrap_or_default();
    let most = MEASURED * learner.budget.batch_tokens;
    let mut tokens = 0;
    let enough = pairs.iter().position(|pair| {
        tokens += shards.lengths(&[*pair]).iter().sum::<usize>();
        tokens > most
    });
    // A pair alone has no negatives, but takes its time all the same.
    let batch = Batch::gather(shards, &pairs[..enough.unwrap_or(pairs.len()).max(1)]);
    let began = Instant::now();
    learner.accumulate(&batch, 0, 0.0, false)?;
    Ok(batch.tokens() as f64 / began.elapsed().as_secs_f64())
}
