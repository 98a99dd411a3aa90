//! What a training says: metrics, TensorBoard files, the plan before it and the card behind it.

pub(crate) mod card;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod tensorboard;
