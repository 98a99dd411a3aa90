//! The log of a training: one JSON object per step on stdout, and TensorBoard's event files.

mod tensorboard;

use std::io::{self, Write as _};

use embtune_cli::{Output, Session};
use embtune_metrics::Metric;
use serde::Serialize;
use serde_json::json;

pub(crate) use tensorboard::TensorBoard;

/// The metrics of a step.
#[derive(Debug, Serialize)]
pub(crate) struct StepMetrics {
    /// From 1.
    pub(crate) step: u64,
    /// Passes over the pairs so far.
    pub(crate) epoch: f64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    /// Before clipping.
    pub(crate) grad_norm: f64,
    /// Tokens of all rows of the step's batches.
    pub(crate) tokens: u64,
    pub(crate) tokens_per_sec: f64,
    /// Pairs of anchor and document that were excluded as false negatives.
    pub(crate) masked: u64,
    /// Peak memory so far: of the process, or of CUDA's tensors.
    pub(crate) memory_mb: u64,
    /// Bytes that each of several processes has sent to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_bytes: Option<u64>,
}

/// The metrics of an evaluation on the dev set.
#[derive(Debug)]
pub(crate) struct DevMetrics {
    /// Steps before the evaluation; 0 is the base model.
    pub(crate) step: u64,
    pub(crate) metric: Metric,
    pub(crate) score: f64,
    /// Whether it is the best score so far.
    pub(crate) best: bool,
    pub(crate) seconds: f64,
}

/// Where metrics are written. If an output fails, the training continues, because hours of work are worth more than
/// their log. A reader of stdout that goes away has read enough; any other failure is reported at once, and again at
/// the end.
pub(crate) struct MetricsLog {
    out: Option<Output>,
    tensorboard: Option<TensorBoard>,
    failure: Option<io::Error>,
}

impl MetricsLog {
    pub(crate) fn new(out: Output, tensorboard: Option<TensorBoard>) -> Self {
        Self { out: Some(out), tensorboard, failure: None }
    }

    /// Logs a step.
    pub(crate) fn step(&mut self, metrics: &StepMetrics, session: &Session) {
        let scalars = [
            ("train/loss", metrics.loss),
            ("train/learning_rate", metrics.learning_rate),
            ("train/grad_norm", metrics.grad_norm),
            ("train/tokens_per_sec", metrics.tokens_per_sec),
        ];
        self.log(metrics.step, &scalars, metrics, session);
    }

    /// Logs an evaluation on the dev set; the key of the score is the metric's name.
    pub(crate) fn evaluation(&mut self, metrics: &DevMetrics, session: &Session) {
        let DevMetrics { step, metric, score, best, seconds } = *metrics;
        let line = json!({"step": step, (metric.to_string()): score, "best": best, "seconds": seconds});
        self.log(step, &[(&format!("eval/{metric}"), score)], &line, session);
    }

    /// Returns the first failure of an output, if the log is incomplete.
    pub(crate) fn check_complete(self) -> io::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    fn log(&mut self, step: u64, scalars: &[(&str, f64)], line: &impl Serialize, session: &Session) {
        if let Some(board) = &mut self.tensorboard
            && let Err(error) = board.scalars(step, scalars)
        {
            self.tensorboard = None;
            self.fail(error, session);
        }
        if let Some(out) = &mut self.out
            && let Err(error) = write_line(line, out)
        {
            self.out = None;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.fail(error, session);
            }
        }
    }

    fn fail(&mut self, error: io::Error, session: &Session) {
        session.warn(format!("{error}: the log ends here, the training continues"));
        self.failure.get_or_insert(error);
    }
}

fn write_line(object: &impl Serialize, out: &mut Output) -> io::Result<()> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}
