//! The training loop.

use std::num::NonZero;
use std::time::Instant;

use embtune_cli::Session;
use embtune_tensors::check_unchanged;
use embtune_torch::tch::Tensor;

use super::learner::{BatchLoss, Learner};
use super::memory;
use super::resume::save;
use super::schedule::Schedule;
use crate::checkpoint::{Checkpoints, Evaluation, TrainerState};
use crate::data::batch::Batch;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::dev_set::{DevArgs, DevSet};
use crate::distributed::ProcessGroup;
use crate::metrics::{DevMetrics, MetricsLog, StepMetrics};

/// A training.
pub(crate) struct Trainer<'a> {
    pub(crate) dev: &'a DevArgs,
    /// Steps between two checkpoints.
    pub(crate) checkpoint_every: Option<NonZero<u64>>,
    pub(crate) learner: Learner<'a>,
    pub(crate) shards: &'a Shards,
    pub(crate) sampler: Sampler,
    pub(crate) schedule: Schedule,
    pub(crate) session: &'a Session,
    pub(crate) group: &'a ProcessGroup,
    /// In process 0 only.
    pub(crate) main: Option<MainProcess>,
}

/// The parts that only the main process has, which evaluates on the dev set and writes.
pub(crate) struct MainProcess {
    pub(crate) dev: Option<DevSet>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) log: MetricsLog,
}

impl Trainer<'_> {
    /// Trains to the end, or until patience runs out.
    ///
    /// # Errors
    /// A signal, after a checkpoint; a loss or gradient that is not finite; a full disk.
    pub(crate) fn train(&mut self, state: &mut TrainerState) -> anyhow::Result<()> {
        let total = self.schedule.total;
        let progress = self.main.is_some().then(|| self.session.progress(Some(total), "steps"));
        let show = |steps| progress.iter().for_each(|progress| progress.add(steps));
        show(state.step);
        let mut batches = self.sampler.epoch(state.epoch);
        let mut saved = state.step;
        loop {
            if self.is_evaluation_due(state, state.batch >= batches.len())
                && let Err(error) = self.evaluate_and_record(state)
            {
                if self.session.interrupt().check().is_err() {
                    self.save_for_resume(state, saved)?;
                }
                return Err(error);
            }
            let every = self.checkpoint_every;
            if state.step > saved && every.is_some_and(|every| state.step.is_multiple_of(every.get())) {
                self.save(state)?;
                saved = state.step;
            }
            if let Some(interrupted) = self.group.interrupted(self.session.interrupt())? {
                self.save_for_resume(state, saved)?;
                return Err(interrupted);
            }
            if state.step >= total || state.evaluations.is_out_of_patience(self.dev.patience) {
                return Ok(());
            }
            if state.batch >= batches.len() {
                if state.epoch == 0 && state.loss.compared == 0 && self.main.is_some() {
                    self.session.warn(self.learner.objective.loss.nothing_compared());
                }
                check_unchanged()?;
                state.epoch += 1;
                state.batch = 0;
                state.loss.begin_epoch();
                batches = self.sampler.epoch(state.epoch);
            }
            let end = batches.len().min(state.batch + self.sampler.args.gradient_accumulation as usize);
            let step_batches = &batches[state.batch..end];
            let epoch = f64::from(state.epoch) + end as f64 / batches.len() as f64;
            self.step(state, step_batches, epoch)?;
            state.batch = end;
            show(1);
            progress.iter().for_each(|progress| progress.message(format!("loss {}", state.loss.shown())));
        }
    }

    /// Forward and backward pass over the batches of one step, and the update.
    fn step(&mut self, state: &mut TrainerState, batches: &[Vec<usize>], epoch: f64) -> anyhow::Result<()> {
        let began = Instant::now();
        let step = state.step + 1;
        let sent = self.group.bytes_sent();
        let (mut loss, mut masked, mut tokens) = (0.0, 0, 0);
        for (index, pairs) in batches.iter().enumerate() {
            let batch = Batch::gather(self.shards, pairs);
            // The same number whether the training was interrupted or not.
            let number = u64::from(state.epoch) << 32 | (state.batch + index) as u64;
            let share = 1.0 / batches.len() as f64;
            let found = self.learner.accumulate(&batch, number, share, index + 1 == batches.len())?;
            self.check_finite(&found, step, pairs)?;
            state.loss.add(found.loss, pairs.len(), found.compares);
            loss += found.loss * share;
            masked += found.masked;
            tokens += batch.tokens();
        }
        self.learner.sync_gradient()?;
        let (grad_norm, divisor) = self.learner.clip()?;
        // Before the update, because a NaN in the gradient would destroy the weights.
        anyhow::ensure!(grad_norm.is_finite(), diverged(step, loss, grad_norm));
        let learning_rate = self.schedule.rate(state.step);
        self.learner.update(learning_rate, &divisor)?;
        let seconds = began.elapsed().as_secs_f64();
        state.step = step;
        state.tokens += tokens;
        state.seconds += seconds;
        let Some(main) = &mut self.main else { return Ok(()) };
        let metrics = StepMetrics {
            step,
            epoch,
            loss,
            learning_rate,
            grad_norm,
            tokens,
            tokens_per_sec: tokens as f64 / seconds,
            masked,
            memory_mb: memory::peak(self.learner.device)? >> 20,
            sent_bytes: self.group.bytes_sent().zip(sent).map(|(after, before)| after - before),
        };
        main.log.step(&metrics, self.session);
        Ok(())
    }

    /// Evaluations are due at the start, at the end, and in between every `eval_every` steps or after each epoch; each
    /// of them once.
    fn is_evaluation_due(&self, state: &TrainerState, epoch_ends: bool) -> bool {
        let is_done = state.evaluations.0.last().is_some_and(|last| last.step == state.step);
        let is_due = self.dev.eval_every.map_or(epoch_ends, |every| state.step.is_multiple_of(every.get()));
        self.dev.dev_queries.is_some() && !is_done && (state.step == 0 || is_due || state.step >= self.schedule.total)
    }

    fn evaluate_and_record(&mut self, state: &mut TrainerState) -> anyhow::Result<()> {
        let began = Instant::now();
        let result = self.learner.result();
        let (group, step, metric) = (self.group, state.step, self.dev.metric);
        let Some(score) = group.on_main_process(|| self.evaluate(&result))? else { return Ok(()) };
        let best = state.evaluations.push(Evaluation { step, score });
        let Some(main) = &mut self.main else { return Ok(()) };
        if best {
            main.checkpoints.save_best(step, &result)?;
            main.checkpoints.warning().iter().for_each(|warning| self.session.warn(warning));
        }
        let seconds = began.elapsed().as_secs_f64();
        self.session.info(format!("step {step}: {metric} {score:.4} on the dev set"));
        main.log.evaluation(&DevMetrics { step, metric, score, best, seconds }, self.session);
        Ok(())
    }

    /// The score on the dev set with these values in place of those in training; `None` without a dev set.
    ///
    /// # Errors
    /// A signal, or vectors that are not finite.
    pub(crate) fn evaluate(&mut self, values: &Tensor) -> anyhow::Result<Option<f64>> {
        let Some(dev) = self.main.as_ref().and_then(|main| main.dev.as_ref()) else { return Ok(None) };
        let session = self.session;
        self.learner.with_values(values, |learner| {
            let score = dev.evaluate(&mut |rows| {
                session.interrupt().check()?;
                Ok(learner.encode(rows)?)
            })?;
            Ok(Some(score.mean))
        })
    }

    /// Saves a checkpoint before a signal ends the program, unless the newest one is up to date.
    fn save_for_resume(&mut self, state: &TrainerState, saved: u64) -> anyhow::Result<()> {
        if state.step > saved {
            self.save(state)?;
        }
        if state.step > 0 && self.main.is_some() {
            self.session.notice(format!("interrupted after step {}; resume with --resume", state.step));
        }
        Ok(())
    }

    /// Saves a checkpoint; the other processes wait for it, however long the disk takes.
    fn save(&mut self, state: &TrainerState) -> anyhow::Result<()> {
        let (learner, main, session) = (&self.learner, &mut self.main, self.session);
        self.group.on_main_process(|| {
            let Some(main) = main else { return Ok(()) };
            save(state, learner, &mut main.checkpoints)?;
            main.checkpoints.warning().iter().for_each(|warning| session.warn(warning));
            Ok(())
        })
    }

    fn check_finite(&self, found: &BatchLoss, step: u64, pairs: &[usize]) -> anyhow::Result<()> {
        if found.not_finite.is_empty() {
            return Ok(());
        }
        let first = found.not_finite.iter().take(5);
        let names: Vec<_> = first.map(|index| self.shards.name_pair(pairs[*index])).collect();
        let more = if found.not_finite.len() > names.len() { ", …" } else { "" };
        let what = diverged(step, found.loss, f64::NAN);
        anyhow::bail!("{what}; the data may be the cause: {}{more}", names.join(", "))
    }
}

fn diverged(step: u64, loss: f64, grad_norm: f64) -> String {
    format!(
        "step {step}: loss {loss}, gradient norm {grad_norm}: the training has diverged, nothing is saved\nhint: lower --learning-rate, or raise --warmup-steps"
    )
}
