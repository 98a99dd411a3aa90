//! Where a training stands: what a checkpoint saves and brings back.

use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{generator_state, set_generator_state};
use serde_json::{Map, Value};

use crate::checkpoint::{Checkpoint, Progress, SavedTensor};
use crate::cli::Cli;
use crate::distributed::Team;
use crate::training::dev::Tracker;
use crate::training::learner::Learner;
use crate::training::tally::Tally;

/// Where a training stands.
pub(crate) struct Course {
    /// Steps that are done.
    pub(crate) step: u64,
    /// Epoch of the next batch, from 0.
    pub(crate) epoch: u32,
    /// Batches of that epoch that are done.
    pub(crate) batch: usize,
    pub(crate) tokens: u64,
    /// Without breaks.
    pub(crate) seconds: f64,
    pub(crate) tally: Tally,
    pub(crate) tracker: Tracker,
    settings: Map<String, Value>,
}

impl Course {
    /// The beginning of a training.
    pub(crate) fn new(cli: &Cli, settings: Map<String, Value>) -> Self {
        Self {
            step: 0,
            epoch: 0,
            batch: 0,
            tokens: 0,
            seconds: 0.0,
            tally: Tally::default(),
            tracker: Tracker::new(cli.dev.patience, Vec::new()),
            settings,
        }
    }

    /// Goes to where a checkpoint was made, and the learner with it, in all processes: the first reads it.
    ///
    /// # Errors
    /// A checkpoint of other settings, or of another model.
    pub(crate) fn resume(
        &mut self,
        checkpoint: Option<&Checkpoint>,
        cli: &Cli,
        learner: &mut Learner<'_>,
        team: &Team,
    ) -> anyhow::Result<()> {
        let progress = team.by_main(|| checkpoint.map(|checkpoint| self.read(checkpoint, learner)).transpose())?;
        for (_, tensor) in tensors(learner) {
            team.copy_from_main(tensor)?;
        }
        let Some(progress) = progress else { return Ok(()) };
        (self.step, self.epoch, self.batch) = (progress.step, progress.epoch, progress.batch as usize);
        (self.tokens, self.seconds) = (progress.tokens, progress.seconds);
        self.tally = progress.tally;
        self.tracker = Tracker::new(cli.dev.patience, progress.evaluations);
        learner.optimizer.steps = progress.step;
        if !team.is_main() {
            learner.seed_dropout(progress.step);
        }
        Ok(())
    }

    /// Reads what a checkpoint holds into the learner.
    fn read(&self, checkpoint: &Checkpoint, learner: &Learner<'_>) -> anyhow::Result<Progress> {
        checkpoint.check_settings(&self.settings)?;
        for (name, tensor) in tensors(learner) {
            checkpoint.restore(name, tensor)?;
        }
        if learner.device != Device::Cpu {
            set_generator_state(learner.device, &checkpoint.tensor("generator")?)?;
        }
        Ok(checkpoint.progress().clone())
    }

    /// What a checkpoint holds, handed to `save`.
    pub(crate) fn save(
        &self,
        learner: &Learner<'_>,
        save: impl FnOnce(&Progress, &[SavedTensor<'_>]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let progress = Progress {
            step: self.step,
            epoch: self.epoch,
            batch: self.batch as u64,
            tokens: self.tokens,
            seconds: self.seconds,
            tally: self.tally,
            evaluations: self.tracker.history().to_vec(),
            settings: self.settings.clone(),
        };
        let mut tensors = tensors(learner);
        // On the CPU nothing is drawn: dropout is a function of seed, epoch and batch.
        let generator: Tensor;
        if learner.device != Device::Cpu {
            generator = generator_state(learner.device)?;
            tensors.push(("generator", &generator));
        }
        save(&progress, &tensors)
    }
}

/// What is in training, by the names that checkpoints have for it.
pub(crate) fn tensors<'a>(learner: &'a Learner<'_>) -> Vec<SavedTensor<'a>> {
    let mut tensors = vec![
        ("values", &learner.parameters.values),
        ("moment1", &learner.optimizer.moment1),
        ("moment2", &learner.optimizer.moment2),
    ];
    tensors.extend(learner.average.as_ref().map(|average| ("average", average)));
    tensors
}
