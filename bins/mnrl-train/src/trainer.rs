//! The training loop.

use std::time::Instant;

use embtune_cli::Session;
use embtune_model::ModelDir;
use embtune_torch::tch::{Device, Kind, Tensor};
use embtune_torch::{AdamW, TorchError, clip, seed};

use crate::batch::Batch;
use crate::cli::TrainingArgs;
use crate::grad_cache::{Budget, GradCache};
use crate::groups::{self, specs};
use crate::keys::{batch_key, row_key};
use crate::loss::mnrl;
use crate::metrics::{Metrics, Step};
use crate::network::{Network, Pass, Row};
use crate::parameters::Parameters;
use crate::sampler::batches;
use crate::schedule::Schedule;
use crate::shards::Shards;

/// A model in training.
pub(crate) struct Trainer<'a> {
    args: &'a TrainingArgs,
    model: &'a ModelDir,
    device: Device,
    parameters: Parameters,
    network: Network,
    optimizer: AdamW,
    pass: Pass,
    budget: Budget,
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
        let options = groups::Options {
            weight_decay: args.weight_decay,
            layer_decay: args.layer_decay,
            freeze: args.freeze,
            lora: args.lora.as_ref(),
            seed: args.seed,
        };
        let parameters = Parameters::load(specs(model, options)?, &model.weights()?, device)?;
        let network = Network::new(model, &parameters, args.lora.as_ref())?;
        let optimizer = AdamW::new(&parameters.values, parameters.segments.clone());
        let config = model.config();
        let pass = Pass {
            kind: args.precision.kind(),
            hidden_dropout: args.dropout.unwrap_or(config.hidden_dropout_prob),
            attention_dropout: args.dropout.unwrap_or(config.attention_probs_dropout_prob),
        };
        let budget = Budget { batch_tokens: args.batch_tokens as usize, live_tokens: usize::MAX };
        Ok(Self { args, model, device, parameters, network, optimizer, pass, budget })
    }

    /// Trains for all epochs.
    pub(crate) fn train(
        &mut self,
        shards: &Shards,
        metrics: &mut Metrics,
        session: &Session,
    ) -> anyhow::Result<Summary> {
        let batch_size = self.args.batch_size as usize;
        let steps_an_epoch = shards.pairs().div_ceil(batch_size) as u64;
        let total = steps_an_epoch * u64::from(self.args.epochs);
        let schedule = Schedule {
            peak: self.args.learning_rate,
            decay: self.args.schedule,
            warmup: self.args.warmup_steps,
            total,
        };
        let progress = session.progress(Some(total), "steps");
        let start = Instant::now();
        let (mut step, mut tokens) = (0, 0);
        let mut losses = Vec::new();
        for epoch in 0..self.args.epochs {
            for pairs in batches(shards.pairs(), batch_size, self.args.seed, epoch) {
                let began = Instant::now();
                let batch = Batch::gather(shards, &pairs);
                let learning_rate = schedule.rate(step);
                let outcome = self.step(&batch, step, learning_rate)?;
                step += 1;
                tokens += batch.tokens();
                losses.push(outcome.loss);
                metrics.write(&Step {
                    step,
                    epoch: step as f64 / steps_an_epoch as f64,
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
    fn step(&mut self, batch: &Batch, step: u64, learning_rate: f64) -> Result<StepOutcome, TorchError> {
        let key = batch_key(self.args.seed, step);
        let rows: Vec<_> = batch
            .rows
            .iter()
            .enumerate()
            .map(|(row, tokens)| Row { tokens, key: row_key(key, row) })
            .collect();
        let (mask, masked) = batch.mask(self.device)?;
        let _ = self.parameters.grads.f_zero_()?;
        let cache = GradCache {
            network: &self.network,
            config: self.model.config(),
            device: self.device,
            pass: self.pass,
            budget: self.budget,
        };
        let loss = cache.backward(&rows, |vectors| {
            let pairs = batch.pairs as i64;
            let anchors = vectors.f_narrow(0, 0, pairs)?;
            let documents = vectors.f_narrow(0, pairs, vectors.size()[0] - pairs)?;
            let loss = mnrl(&anchors, &documents, mask.as_ref(), self.args.scale)?;
            loss.f_backward()?;
            Ok(loss.f_double_value(&[])?)
        })?;
        let (norm, divisor) = clip(&self.parameters.grads, self.args.max_grad_norm)?;
        let outcome = StepOutcome { loss, grad_norm: norm.f_double_value(&[])?, masked };
        self.optimizer.step(&self.parameters.values, &self.parameters.grads, learning_rate, &divisor)?;
        Ok(outcome)
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
