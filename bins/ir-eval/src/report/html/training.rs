//! The training: what mnrl-train wrote to stdout, and its curves.

use std::path::Path;

use anyhow::ensure;
use embtune_cli::Session;
use embtune_records::{Field, Object, Records};
use serde_json::{Value, json};

use super::svg::{Chart, Scale};

/// The most points of a line. Longer ones are averaged over equal spans.
const MAX_POINTS: usize = 300;

/// The steps of a training and its evaluations.
#[derive(Debug, PartialEq)]
pub(crate) struct TrainingLog {
    /// Step and loss.
    losses: Vec<(f64, f64)>,
    /// Step and score on the dev set.
    scores: Vec<(f64, f64)>,
    /// The metric of the scores.
    metric: Option<String>,
}

impl TrainingLog {
    /// Reads the lines that mnrl-train wrote to stdout.
    ///
    /// # Errors
    /// A file that cannot be read, or in which no line has a step and a loss.
    pub(crate) fn read(file: &Path, session: &Session) -> anyhow::Result<Self> {
        let input = session.input(file)?;
        let name = input.name.clone();
        let mut log = Self { losses: Vec::new(), scores: Vec::new(), metric: None };
        for record in Records::<Object, _>::with_default_limit(name.clone(), input) {
            log.add(&record?);
        }
        ensure!(!log.losses.is_empty(), "{name}: no line has a step and a loss, as mnrl-train writes them");
        Ok(log)
    }

    fn add(&mut self, line: &Object) {
        let Some(step) = line.get("step").and_then(Field::as_f64) else { return };
        if let Some(loss) = line.get("loss").and_then(Field::as_f64) {
            self.losses.push((step, loss));
        }
        // The line of an evaluation has the score under the name of its metric.
        let metrics = line.iter().filter(|(name, _)| name.contains('@'));
        if let Some((name, score)) = metrics.filter_map(|(name, value)| Some((name, value.as_f64()?))).next() {
            self.scores.push((step, score));
            self.metric.get_or_insert_with(|| name.to_owned());
        }
    }
}

/// The charts of the loss and, if there was a dev set, of the score.
pub(super) fn section(log: &TrainingLog) -> Value {
    json!({
        "loss": chart(&averaged(&log.losses), "Loss, by step"),
        "score": (log.scores.len() > 1).then(|| chart(&log.scores, "Dev set, by step")),
        "metric": log.metric,
        "steps": log.losses.last().map_or(0.0, |(step, _)| *step),
    })
}

fn chart(points: &[(f64, f64)], title: &str) -> String {
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (first, last) = range(&mut points.iter().map(|(step, _)| *step));
    let (low, high) = range(&mut points.iter().map(|(_, value)| *value));
    let padding = 0.06 * (high - low).max(1e-6);
    let mut chart = Chart::new(Scale::Linear(first, last), Scale::Linear(low - padding, high + padding), "step");
    chart.line(points.iter().copied(), "s1");
    chart.finish(title)
}

/// The means of equal spans. The loss of single steps is noisy; its mean shows the trend.
fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let span = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |span: &[(f64, f64)]| {
        let n = span.len() as f64;
        (span.iter().map(|point| point.0).sum::<f64>() / n, span.iter().map(|point| point.1).sum::<f64>() / n)
    };
    points.chunks(span).map(mean).collect()
}
