//! The training loop.

use std::time::Instant;

use embtune_cli::Session;
use embtune_model::ModelDir;
use embtune_torch::tch::Device;
use embtune_torch::{AdamW, TorchError, clip, seed};

use crate::batch::Batch;
use crate::cli::TrainingArgs;
use crate::encoder::Encoder;
use crate::loss::mnrl;
use crate::metrics::{Metrics, Step};
use crate::packed::Packed;
use crate::parameters::Parameters;
use crate::sampler::Sampler;
use crate::schedule::Linear;
use crate::shards::Shards;

/// A model in training.
pub(crate) struct Trainer<'a> {
    args: &'a TrainingArgs,
    model: &'a ModelDir,
    device: Device,
    parameters: Parameters,
    encoder: Encoder,
    optimizer: AdamW,
}

/// What a training was, for the model card.
pub(crate) struct Summary {
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) seconds: f64,
    /// Mean over the last tenth of the steps.
    pub(crate) final_loss: f64,
}

impl<'a> Trainer<'a> {
    pub(crate) fn new(model: &'a ModelDir, args: &'a TrainingArgs, device: Device) -> anyhow::Result<Self> {
        seed(args.seed);
        let parameters = Parameters::load(model.config(), &model.weights()?, device)?;
        let encoder = Encoder::new(model.config(), model.pooling(), &parameters, args.dropout)?;
        let optimizer = AdamW::new(&parameters.values, parameters.decayed, args.weight_decay);
        Ok(Self { args, model, device, parameters, encoder, optimizer })
    }

    /// Trains for all epochs.
    pub(crate) fn train(
        &mut self,
        shards: &Shards,
        sampler: &Sampler,
        metrics: &mut Metrics,
        session: &Session,
    ) -> anyhow::Result<Summary> {
        let total = sampler.total_steps(self.args.epochs);
        anyhow::ensure!(total > 0, "--weights leave no pair to train on\nhint: raise them, or --epochs");
        let schedule = Linear { peak: self.args.learning_rate, warmup: self.args.warmup_steps, total };
        if schedule.warmup >= total {
            let warmup = schedule.warmup;
            session.warn(format!(
                "{warmup} warm-up steps, but {total} steps in all: the learning rate never reaches {}\nhint: lower --warmup-steps",
                schedule.peak
            ));
        }
        let progress = session.progress(Some(total), "steps");
        let start = Instant::now();
        let (mut step, mut tokens) = (0, 0);
        let mut losses = Vec::new();
        for epoch in 0..self.args.epochs {
            let batches = sampler.epoch(epoch);
            for (index, pairs) in batches.iter().enumerate() {
                let began = Instant::now();
                let batch = Batch::gather(shards, pairs);
                let learning_rate = schedule.rate(step);
                let outcome = self.step(&batch, learning_rate)?;
                step += 1;
                self.check_finite(&outcome, step)?;
                tokens += batch.tokens();
                losses.push(outcome.loss);
                metrics.write(&Step {
                    step,
                    epoch: f64::from(epoch) + (index + 1) as f64 / batches.len() as f64,
                    loss: outcome.loss,
                    learning_rate,
                    grad_norm: outcome.grad_norm,
                    tokens: batch.tokens(),
                    tokens_per_sec: batch.tokens() as f64 / began.elapsed().as_secs_f64(),
                    masked: outcome.masked,
                })?;
                progress.add(1);
                progress.message(format!("loss {:.4}", outcome.loss));
                session.interrupt().check()?;
            }
        }
        let last = &losses[losses.len() - losses.len().div_ceil(10)..];
        let final_loss = last.iter().sum::<f64>() / last.len() as f64;
        Ok(Summary { steps: step, tokens, seconds: start.elapsed().as_secs_f64(), final_loss })
    }

    /// Forward, backward, clip, update.
    fn step(&mut self, batch: &Batch<'_>, learning_rate: f64) -> Result<StepOutcome, TorchError> {
        let packed = Packed::new(&batch.rows, self.model.config(), self.device)?;
        let (mask, masked) = batch.mask(self.device)?;
        let vectors = self.encoder.forward(&packed)?;
        let pairs = batch.pairs as i64;
        let anchors = vectors.f_narrow(0, 0, pairs)?;
        let documents = vectors.f_narrow(0, pairs, vectors.size()[0] - pairs)?;
        let loss = mnrl(&anchors, &documents, mask.as_ref(), self.args.scale)?;
        let _ = self.parameters.grads.f_zero_()?;
        loss.f_backward()?;
        let (norm, divisor) = clip(&self.parameters.grads, self.args.max_grad_norm)?;
        let outcome = StepOutcome { loss: loss.f_double_value(&[])?, grad_norm: norm.f_double_value(&[])?, masked };
        // Weights that a NaN has touched are lost: look before the update.
        if outcome.is_finite() {
            self.optimizer.step(&self.parameters.values, &self.parameters.grads, learning_rate, &divisor)?;
        }
        Ok(outcome)
    }

    fn check_finite(&self, outcome: &StepOutcome, step: u64) -> anyhow::Result<()> {
        anyhow::ensure!(
            outcome.is_finite(),
            "step {step}: loss {}, gradient norm {}: the training has diverged, nothing is saved\nhint: lower --learning-rate (now {}), or raise --warmup-steps",
            outcome.loss,
            outcome.grad_norm,
            self.args.learning_rate
        );
        Ok(())
    }

    /// The weights as they are now.
    pub(crate) fn weights(&self) -> Result<embtune_model::NewWeights, TorchError> {
        self.parameters.to_weights()
    }
}

struct StepOutcome {
    loss: f64,
    grad_norm: f64,
    masked: u64,
}

impl StepOutcome {
    fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.grad_norm.is_finite()
    }
}
