//! `--plan`: the time and memory that a training needs, before it begins.

mod estimate;

use std::io::Write as _;
use std::time::Instant;

use embtune_cli::Session;
use embtune_torch::tch::Device;

use crate::data::batch::Batch;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::distributed::RankInfo;
use crate::loss;
use crate::training::activations::Activations;
use crate::training::learner::Learner;
use crate::training::memory;
use estimate::{BatchRows, Costs, plan};

/// Bytes of the program and libtorch, besides the model's files, which are mapped (measured on the CPU).
const PROGRAM: u64 = 256 << 20;
/// Number of micro-batches whose time is measured.
const MEASURED: usize = 3;

/// Measures a few micro-batches, and prints the estimate.
///
/// # Errors
/// An error of libtorch, or a closed stdout.
pub(crate) fn show(
    ranks: RankInfo,
    learner: &mut Learner<'_>,
    shards: &Shards,
    sampler: &Sampler,
    session: &Session,
) -> anyhow::Result<()> {
    let (trainable, frozen) = learner.parameters.counts();
    let activations = Activations::of(learner.model.encoder());
    let kind = learner.kind();
    let budget = learner.budget;
    let bytes_per_token = |length: usize| activations.bytes_per_token(kind, length) as f64;
    // Weights are copied if they are used in another type, or with LoRA's changes.
    let has_copy = kind.elt_size_in_bytes() < 4 || learner.args.parameters.lora.is_some();
    let costs = Costs {
        parameters: trainable + frozen,
        trainable,
        copy_bytes: if has_copy { kind.elt_size_in_bytes() as u64 } else { 0 }
            + if learner.args.ema.is_some() { 4 } else { 0 },
        bytes_per_token: &bytes_per_token,
        loss_bytes: &loss::bytes,
        hidden: learner.model.dimension(),
        program: PROGRAM
            + learner.model.encoder_bytes()
            + budget.batch_tokens as u64 * activations.working_bytes_per_token(kind),
        batch_tokens: budget.batch_tokens,
        live_tokens: budget.live_tokens,
        processes: ranks.world_size,
    };
    // On the CPU, processes share the machine's memory; each GPU belongs to one process.
    let sharing = if learner.device == Device::Cpu { ranks.local_world_size as u64 } else { 1 };
    let available = memory::free(learner.device)?.map(|bytes| bytes / sharing);
    let rows = |pairs: &Vec<usize>| BatchRows { pairs: pairs.len(), lengths: shards.lengths(pairs) };
    let steps = (0..sampler.args.epochs).flat_map(|epoch| {
        let batches = sampler.epoch(epoch);
        batches
            .chunks(sampler.args.gradient_accumulation as usize)
            .map(|step| step.iter().map(rows).collect())
            .collect::<Vec<_>>()
    });
    let rate = measure(learner, shards, sampler)? * ranks.world_size as f64;
    let plan = plan(sampler.args.epochs, steps, &costs, available, Some(rate));
    let mut out = session.output(None)?;
    write!(out, "{plan}")?;
    Ok(out.flush()?)
}

/// Measures tokens per second on the first pairs of the first batch.
fn measure(learner: &mut Learner<'_>, shards: &Shards, sampler: &Sampler) -> anyhow::Result<f64> {
    let pairs = sampler.epoch(0).into_iter().next().unwrap_or_default();
    let most = MEASURED * learner.budget.batch_tokens;
    let mut tokens = 0;
    let enough = pairs.iter().position(|pair| {
        tokens += shards.lengths(&[*pair]).iter().sum::<usize>();
        tokens > most
    });
    // Even a single pair, which has no negatives, takes its time.
    let batch = Batch::gather(shards, &pairs[..enough.unwrap_or(pairs.len()).max(1)]);
    let began = Instant::now();
    learner.accumulate(&batch, 0, 0.0, false)?;
    Ok(batch.tokens() as f64 / began.elapsed().as_secs_f64())
}
