//! The training loop.

use std::time::Instant;

use embtune_cli::Session;
use embtune_tensors::check_unchanged;
use embtune_torch::tch::Tensor;

use crate::checkpoint::Checkpoints;
use crate::cli::Cli;
use crate::data::batch::Batch;
use crate::data::sampler::Sampler;
use crate::data::shards::Shards;
use crate::distributed::Team;
use crate::report::metrics::{DevScore, Metrics, Step};
use crate::training::course::Course;
use crate::training::dev::{DevSet, Evaluation};
use crate::training::learner::{BatchLoss, Learner};
use crate::training::memory;
use crate::training::schedule::Schedule;

/// What takes part in a training.
pub(crate) struct Trainer<'a> {
    pub(crate) cli: &'a Cli,
    pub(crate) learner: Learner<'a>,
    pub(crate) shards: &'a Shards,
    pub(crate) sampler: Sampler,
    pub(crate) schedule: Schedule,
    pub(crate) session: &'a Session,
    pub(crate) team: &'a Team,
    /// In the first process.
    pub(crate) lead: Option<Lead>,
}

/// What only one process does: measure on the dev set, and write.
pub(crate) struct Lead {
    pub(crate) dev: Option<DevSet>,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) metrics: Metrics,
}

impl Trainer<'_> {
    /// Trains to the end, or until patience runs out.
    ///
    /// # Errors
    /// A signal, after a checkpoint; a loss or gradient that is not finite; a disk that is full.
    pub(crate) fn train(&mut self, course: &mut Course) -> anyhow::Result<()> {
        let total = self.schedule.total;
        let progress = self.lead.is_some().then(|| self.session.progress(Some(total), "steps"));
        let show = |steps| progress.iter().for_each(|progress| progress.add(steps));
        show(course.step);
        let mut batches = self.sampler.epoch(course.epoch);
        let mut saved = course.step;
        loop {
            if self.is_evaluation_due(course, course.batch >= batches.len())
                && let Err(error) = self.evaluate_and_record(course)
            {
                if self.session.interrupt().check().is_err() {
                    self.save_for_later(course, saved)?;
                }
                return Err(error);
            }
            let every = self.cli.checkpoint.checkpoint_every;
            if course.step > saved && every.is_some_and(|every| course.step.is_multiple_of(every.get())) {
                self.save(course)?;
                saved = course.step;
            }
            if let Some(interrupted) = self.team.interrupted(self.session.interrupt())? {
                self.save_for_later(course, saved)?;
                return Err(interrupted);
            }
            if course.step >= total || course.tracker.is_out_of_patience() {
                return Ok(());
            }
            if course.batch >= batches.len() {
                if course.epoch == 0 && course.tally.compared == 0 && self.lead.is_some() {
                    self.session.warn(self.cli.loss.nothing_compared());
                }
                check_unchanged()?;
                course.epoch += 1;
                course.batch = 0;
                course.tally.begin_epoch();
                batches = self.sampler.epoch(course.epoch);
            }
            let end = batches.len().min(course.batch + self.cli.training.gradient_accumulation as usize);
            let group = &batches[course.batch..end];
            let epoch = f64::from(course.epoch) + end as f64 / batches.len() as f64;
            self.step(course, group, epoch)?;
            course.batch = end;
            show(1);
            progress.iter().for_each(|progress| progress.message(format!("loss {}", course.tally.shown_loss())));
        }
    }

    /// Forward, backward and update over the batches of one step.
    fn step(&mut self, course: &mut Course, group: &[Vec<usize>], epoch: f64) -> anyhow::Result<()> {
        let began = Instant::now();
        let step = course.step + 1;
        let sent = self.team.sent();
        let (mut loss, mut masked, mut tokens) = (0.0, 0, 0);
        for (place, pairs) in group.iter().enumerate() {
            let batch = Batch::gather(self.shards, pairs);
            // The same number whether the training was interrupted or not.
            let number = u64::from(course.epoch) << 32 | (course.batch + place) as u64;
            let share = 1.0 / group.len() as f64;
            let found = self.learner.accumulate(&batch, number, share, place + 1 == group.len())?;
            self.check_finite(&found, step, pairs)?;
            course.tally.add(found.loss, pairs.len(), found.compares);
            loss += found.loss * share;
            masked += found.masked;
            tokens += batch.tokens();
        }
        self.learner.share_gradient()?;
        let (grad_norm, divisor) = self.learner.clip()?;
        // Weights that a NaN has touched are lost: look before the update.
        anyhow::ensure!(grad_norm.is_finite(), diverged(step, loss, grad_norm));
        let learning_rate = self.schedule.rate(course.step);
        self.learner.update(learning_rate, &divisor)?;
        let seconds = began.elapsed().as_secs_f64();
        course.step = step;
        course.tokens += tokens;
        course.seconds += seconds;
        let Some(lead) = &mut self.lead else { return Ok(()) };
        lead.metrics.step(
            &Step {
                step,
                epoch,
                loss,
                learning_rate,
                grad_norm,
                tokens,
                tokens_per_sec: tokens as f64 / seconds,
                masked,
                memory_mb: memory::peak(self.learner.device)? >> 20,
                sent_bytes: self.team.sent().zip(sent).map(|(after, before)| after - before),
            },
            self.session,
        );
        Ok(())
    }

    /// At the start, every so many steps or at the end of an epoch, and at the end of all; once.
    fn is_evaluation_due(&self, course: &Course, epoch_ends: bool) -> bool {
        let is_done = course.tracker.history().last().is_some_and(|last| last.step == course.step);
        let is_due = self.cli.dev.eval_every.map_or(epoch_ends, |every| course.step.is_multiple_of(every.get()));
        self.cli.dev.dev_queries.is_some()
            && !is_done
            && (course.step == 0 || is_due || course.step >= self.schedule.total)
    }

    fn evaluate_and_record(&mut self, course: &mut Course) -> anyhow::Result<()> {
        let began = Instant::now();
        let result = self.learner.result();
        let (team, step, metric) = (self.team, course.step, self.cli.dev.metric);
        let Some(score) = team.by_main(|| self.evaluate(&result))? else { return Ok(()) };
        let best = course.tracker.record(Evaluation { step, score });
        let Some(lead) = &mut self.lead else { return Ok(()) };
        if best {
            lead.checkpoints.save_best(step, &result)?;
            lead.checkpoints.warning().iter().for_each(|warning| self.session.warn(warning));
        }
        let seconds = began.elapsed().as_secs_f64();
        self.session.info(format!("step {step}: {metric} {score:.4} on the dev set"));
        lead.metrics.dev_score(&DevScore { step, metric, score, best, seconds }, self.session);
        Ok(())
    }

    /// The dev set's figure with these values in place of those in training.
    ///
    /// # Errors
    /// A signal; vectors that are not finite.
    pub(crate) fn evaluate(&mut self, values: &Tensor) -> anyhow::Result<Option<f64>> {
        let Some(dev) = self.lead.as_ref().and_then(|lead| lead.dev.as_ref()) else { return Ok(None) };
        let session = self.session;
        self.learner.with_values(values, |learner| {
            let score = dev.evaluate(&mut |rows| {
                session.interrupt().check()?;
                Ok(learner.encode(rows)?)
            })?;
            Ok(Some(score.mean))
        })
    }

    /// Saves what is not saved yet, before a signal ends the program.
    fn save_for_later(&mut self, course: &Course, saved: u64) -> anyhow::Result<()> {
        if course.step > saved {
            self.save(course)?;
        }
        if course.step > 0 && self.lead.is_some() {
            self.session.notice(format!("interrupted behind step {}: --resume goes on from there", course.step));
        }
        Ok(())
    }

    /// Saves a checkpoint; the other processes wait for it, however long the disk takes.
    fn save(&mut self, course: &Course) -> anyhow::Result<()> {
        let (learner, lead, session) = (&self.learner, &mut self.lead, self.session);
        self.team.by_main(|| {
            let Some(lead) = lead else { return Ok(()) };
            course.save(learner, |progress, tensors| lead.checkpoints.save(progress, tensors))?;
            lead.checkpoints.warning().iter().for_each(|warning| session.warn(warning));
            Ok(())
        })
    }

    fn check_finite(&self, found: &BatchLoss, step: u64, pairs: &[usize]) -> anyhow::Result<()> {
        if found.broken.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = found.broken.iter().take(5).map(|place| self.shards.name_pair(pairs[*place])).collect();
        let more = if found.broken.len() > names.len() { ", …" } else { "" };
        anyhow::bail!("{}; it may be the data: {}{more}", diverged(step, found.loss, f64::NAN), names.join(", "))
    }
}

fn diverged(step: u64, loss: f64, grad_norm: f64) -> String {
    format!(
        "step {step}: loss {loss}, gradient norm {grad_norm}: the training has diverged, nothing is saved\nhint: lower --learning-rate, or raise --warmup-steps"
    )
}
