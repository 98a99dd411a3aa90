//! What a training reports: one JSON object a step on stdout, and TensorBoard's files.

use std::io::{self, Write as _};

use embtune_cli::{Output, Session};
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

/// The reports' streams. When one of them breaks, the training goes on: hours of work are worth more than their log. A
/// reader of stdout that goes away has read enough; everything else is said at once, and again at the end.
pub(crate) struct Metrics {
    out: Option<Output>,
    tensorboard: Option<TensorBoard>,
    lost: Option<io::Error>,
}

impl Metrics {
    pub(crate) fn new(out: Output, tensorboard: Option<TensorBoard>) -> Self {
        Self { out: Some(out), tensorboard, lost: None }
    }

    pub(crate) fn step(&mut self, step: &Step, session: &Session) {
        let board = self.tensorboard.as_mut().map(|board| board.step(step));
        self.report(board, step, session);
    }

    pub(crate) fn dev_score(&mut self, score: &DevScore, session: &Session) {
        let board = self.tensorboard.as_mut().map(|board| board.evaluation(score.step, score.metric, score.score));
        self.report(board, score, session);
    }

    /// Refuses to call a log whole that is not.
    ///
    /// # Errors
    /// What the first stream broke with.
    pub(crate) fn whole(self) -> io::Result<()> {
        self.lost.map_or(Ok(()), Err)
    }

    /// Writes a line on stdout, and takes notice of how it went there and in TensorBoard's file.
    fn report(&mut self, board: Option<io::Result<()>>, line: &impl Serialize, session: &Session) {
        if let Some(Err(error)) = board {
            self.tensorboard = None;
            self.lose(error, session);
        }
        if let Some(out) = &mut self.out
            && let Err(error) = write_line(line, out)
        {
            self.out = None;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.lose(error, session);
            }
        }
    }

    fn lose(&mut self, error: io::Error, session: &Session) {
        session.warn(format!("{error}: the log ends here, the training goes on"));
        self.lost.get_or_insert(error);
    }
}

fn write_line(object: &impl Serialize, out: &mut Output) -> io::Result<()> {
    let mut line = serde_json::to_vec(object)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}
