//! Checkpoints: everything that a training needs to continue as if it had never stopped.

mod early_stopping;
mod file;
mod folder;
#[cfg(test)]
mod tests;
mod trainer_state;

pub(crate) use early_stopping::Evaluation;
pub(crate) use file::{Checkpoint, NamedTensor, bytes};
pub(crate) use folder::{CheckpointArgs, Checkpoints};
pub(crate) use trainer_state::{TrainerState, first_difference};
