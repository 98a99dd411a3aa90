//! What a training reports: one JSON object a step on stdout, and TensorBoard's files.

use std::io::{self, Write as _};

use embtune_cli::Output;
use embtune_metrics::Metric;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::report::tensorboard::TensorBoard;

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
    /// Of all rows of the step's batches.
    pub(crate) tokens: u64,
    pub(crate) tokens_per_sec: f64,
    /// Pairs of anchor and document that did not count as negatives.
    pub(crate) masked: u64,
    /// Most memory so far: of the process, or of CUDA's tensors.
    pub(crate) memory_mb: u64,
    /// Bytes that each of several processes has sent to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_bytes: Option<u64>,
}

/// What an evaluation on the dev set reports; the score stands under the metric's name.
#[derive(Debug)]
pub(crate) struct DevScore {
    /// Steps before it; 0 is the base model.
    pub(crate) step: u64,
    pub(crate) metric: Metric,
    pub(crate) score: f64,
    /// Whether it is the best so far.
    pub(crate) best: bool,
    pub(crate) seconds: f64,
}

impl Serialize for DevScore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry(&self.metric.to_string(), &self.score)?;
        map.serialize_entry("best", &self.best)?;
        map.serialize_entry("seconds", &self.seconds)?;
        map.end()
    }
}

/// The reports' streams. When stdout's reader goes away, the training goes on: hours of work are worth more than their
/// log.
pub(crate) struct Metrics {
    out: Option<Output>,
    tensorboard: Option<TensorBoard>,
}

impl Metrics {
    pub(crate) fn new(out: Output, tensorboard: Option<TensorBoard>) -> Self {
        Self { out: Some(out), tensorboard }
    }

    pub(crate) fn step(&mut self, step: &Step) -> io::Result<()> {
        if let Some(board) = &mut self.tensorboard {
            board.step(step)?;
        }
        self.line(step)
    }

    pub(crate) fn dev_score(&mut self, score: &DevScore) -> io::Result<()> {
        if let Some(board) = &mut self.tensorboard {
            board.evaluation(score.step, score.metric, score.score)?;
        }
        self.line(score)
    }

    fn line(&mut self, object: &impl Serialize) -> io::Result<()> {
        let Some(out) = &mut self.out else { return Ok(()) };
        let mut line = serde_json::to_vec(object)?;
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
