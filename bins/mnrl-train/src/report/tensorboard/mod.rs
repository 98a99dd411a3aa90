//! `--tensorboard`: the metrics as event files, which TensorBoard shows while they grow.

mod event;
mod record;
mod writer;

pub(crate) use writer::TensorBoard;
