//! One JSON object a step on stdout.

use std::io::{self, Write as _};

use embtune_cli::Output;
use serde::Serialize;

/// What a step reports.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    /// From 1.
    pub(crate) step: u64,
    /// Passes over the pairs so far.
    pub(crate) epoch: f64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    /// Before clipping.
    pub(crate) grad_norm: f64,
    /// Of all rows of the batch.
    pub(crate) tokens: u64,
    pub(crate) tokens_per_sec: f64,
    /// Pairs of anchor and document that did not count as negatives.
    pub(crate) masked: u64,
    /// Most memory so far: of the process, or of CUDA's tensors.
    pub(crate) memory_mb: u64,
}

/// The metrics' stream. When its reader goes away, the training goes on: hours of work are worth more than its log.
pub(crate) struct Metrics {
    out: Option<Output>,
}

impl Metrics {
    pub(crate) fn new(out: Output) -> Self {
        Self { out: Some(out) }
    }

    pub(crate) fn write(&mut self, step: &Step) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut line = serde_json::to_vec(step)?;
        line.push(b'\n');
        match out.write_all(&line).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.out = None;
                Ok(())
            }
            result => result,
        }
    }
}
