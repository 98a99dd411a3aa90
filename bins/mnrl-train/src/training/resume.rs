//! Saving a training in a checkpoint, and continuing from one.

use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{generator_state, set_generator_state};

use super::learner::Learner;
use crate::checkpoint::{Checkpoint, Checkpoints, TrainerState};
use crate::distributed::ProcessGroup;

/// Name of the tensor with the state of CUDA's random number generator.
const GENERATOR: &str = "generator";

/// Continues from a checkpoint, which process 0 reads, in all processes; without one, gives all of them the weights of
/// process 0.
///
/// # Errors
/// A checkpoint of other settings, or of another model.
pub(crate) fn resume(
    state: TrainerState,
    checkpoint: Option<&Checkpoint>,
    learner: &mut Learner<'_>,
    group: &ProcessGroup,
) -> anyhow::Result<TrainerState> {
    let restored =
        group.on_main_process(|| checkpoint.map(|checkpoint| restore(&state, checkpoint, learner)).transpose())?;
    for (_, tensor) in learner.tensors() {
        group.broadcast(tensor)?;
    }
    let Some(restored) = restored else { return Ok(state) };
    learner.optimizer.steps = restored.step;
    if !group.is_main_process() {
        learner.seed_dropout(restored.step);
    }
    // Each process compares and stores its own settings.
    Ok(TrainerState { settings: state.settings, ..restored })
}

/// Copies a checkpoint's tensors into the learner, and returns its state.
fn restore(state: &TrainerState, checkpoint: &Checkpoint, learner: &Learner<'_>) -> anyhow::Result<TrainerState> {
    checkpoint.check_settings(&state.settings)?;
    for (name, tensor) in learner.tensors() {
        checkpoint.restore(name, tensor)?;
    }
    if learner.device != Device::Cpu {
        set_generator_state(learner.device, &checkpoint.tensor(GENERATOR)?)?;
    }
    Ok(checkpoint.state.clone())
}

/// Saves a checkpoint.
///
/// # Errors
/// A full disk, or an error of libtorch.
pub(crate) fn save(state: &TrainerState, learner: &Learner<'_>, checkpoints: &mut Checkpoints) -> anyhow::Result<()> {
    let mut tensors = learner.tensors();
    // On the CPU nothing is drawn: dropout masks are computed from seed, epoch and batch.
    let generator: Tensor;
    if learner.device != Device::Cpu {
        generator = generator_state(learner.device)?;
        tensors.push((GENERATOR, &generator));
    }
    checkpoints.save(state, &tensors)
}
