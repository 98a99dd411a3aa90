//! `--tensorboard`: the metrics as event files, which TensorBoard shows while they grow.

#![cfg_attr(not(test), expect(dead_code, reason = "the trainer calls it next"))]
#![expect(unused_imports, reason = "the trainer uses them next")]

mod event;
mod record;
mod writer;

pub(crate) use writer::TensorBoard;
