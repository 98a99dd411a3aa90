//! The course of the training.

use serde::Serialize;

use super::svg::{Chart, Scale};
use crate::input::TrainingLog;

/// Points that a line needs; of more steps, means of even spans are drawn.
const MOST_POINTS: usize = 300;

/// The charts of the loss and, when there was a dev set, of its figure.
#[derive(Serialize)]
pub(super) struct Training {
    loss: String,
    score: Option<String>,
    metric: Option<String>,
    steps: f64,
}

pub(super) fn section(log: &TrainingLog) -> Training {
    let score = (log.scores.len() > 1).then(|| chart(&log.scores, "Dev set, by step"));
    Training {
        loss: chart(&thinned(&log.losses), "Loss, by step"),
        score,
        metric: log.metric.clone(),
        steps: log.losses.last().map_or(0.0, |(step, _)| *step),
    }
}

fn chart(points: &[(f64, f64)], title: &str) -> String {
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (first, last) = ends(&mut points.iter().map(|(step, _)| *step));
    let (low, high) = ends(&mut points.iter().map(|(_, value)| *value));
    let room = 0.06 * (high - low).max(1e-6);
    let mut chart = Chart::new(Scale::Linear(first, last), Scale::Linear(low - room, high + room), "step");
    chart.line(points.iter().copied(), "s1");
    chart.finish(title)
}

/// Means of spans of equal length: steps jump, their mean shows the way.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let span = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |span: &[(f64, f64)]| {
        let n = span.len() as f64;
        (span.iter().map(|point| point.0).sum::<f64>() / n, span.iter().map(|point| point.1).sum::<f64>() / n)
    };
    points.chunks(span).map(mean).collect()
}
