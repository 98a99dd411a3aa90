//! Checkpoints: everything that a training needs to go on as if it had never stopped.

mod args;
mod file;
mod folder;
mod progress;
#[cfg(test)]
mod tests;

pub(crate) use args::CheckpointArgs;
pub(crate) use file::{Checkpoint, SavedTensor, bytes};
pub(crate) use folder::Checkpoints;
pub(crate) use progress::{Progress, first_difference};
