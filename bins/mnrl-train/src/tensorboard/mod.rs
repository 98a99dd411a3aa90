//! `--tensorboard`: the metrics as event files, which TensorBoard shows while they grow.

#![cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the trainer calls it next"))]

mod event;
mod record;
mod writer;

pub(crate) use writer::TensorBoard;
