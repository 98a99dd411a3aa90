//! The metrics: bars for each system, differences with their intervals, and the tests.

use embtune_metrics::Tally;
use serde_json::{Value, json};

use super::super::table::p_value;
use super::svg::waterfall;
use super::{class, signed};
use crate::results::{Results, SystemResults};

/// The most bars of a chart. If there are more queries, every n-th of them is drawn.
const MAX_BARS: usize = 600;

/// The primary metric of each system, in large letters at the top.
pub(super) fn headline(results: &Results) -> Value {
    let headline = |(index, system): (usize, &SystemResults)| {
        let value = format!("{:.4}", system.evaluation.mean(results.primary));
        json!({ "name": system.name, "class": class(index), "value": value })
    };
    results.systems.iter().enumerate().map(headline).collect()
}

/// The bars of every metric.
pub(super) fn figures(results: &Results) -> Value {
    let comparisons = || results.systems.iter().flat_map(|system| &system.comparisons);
    // All intervals share one axis, so that they can be compared by eye.
    let axis =
        Axis::containing(comparisons().flat_map(|comparison| [comparison.interval.low, comparison.interval.high]));
    let bar = |index: usize, metric: usize| {
        let system = &results.systems[index];
        let value = system.evaluation.mean(metric);
        json!({
            "class": class(index),
            "name": system.name,
            "width": format!("{:.2}%", 100.0 * value.clamp(0.0, 1.0)),
            "value": format!("{value:.4}"),
            "change": change(system, metric, axis),
        })
    };
    let figure = |metric: usize| {
        let bars: Vec<Value> = (0..results.systems.len()).map(|index| bar(index, metric)).collect();
        json!({ "metric": results.metric_name(metric), "primary": metric == results.primary, "bars": bars })
    };
    (0..results.metrics.len()).map(figure).collect()
}

/// The difference from the first system.
fn change(system: &SystemResults, metric: usize, axis: Axis) -> Option<Value> {
    let comparison = system.comparisons.get(metric)?;
    let sign = match comparison.difference {
        difference if difference > 0.0 => "gain",
        difference if difference < 0.0 => "loss",
        _ => "same",
    };
    Some(json!({
        "sign": sign,
        "difference": signed(comparison.difference),
        "mark": comparison.significance_mark(),
        "track": axis.track((comparison.interval.low, comparison.interval.high), comparison.difference),
    }))
}

/// All tests of a system's differences.
pub(super) fn tests(results: &Results) -> Value {
    let row = |system: &SystemResults, metric: usize| {
        let comparison = &system.comparisons[metric];
        [
            results.metric_name(metric),
            signed(comparison.difference),
            p_value(comparison.randomisation.p),
            p_value(comparison.holm),
            comparison.t_test.map(|test| p_value(test.p)).unwrap_or_default(),
            p_value(comparison.wilcoxon.p),
            comparison.effect_size.map(|size| format!("{size:.3}")).unwrap_or_default(),
            comparison.tally.wins.to_string(),
            comparison.tally.ties.to_string(),
            comparison.tally.losses.to_string(),
        ]
    };
    let tests = |system: &SystemResults| {
        let rows: Vec<_> = (0..results.metrics.len()).map(|metric| row(system, metric)).collect();
        json!({ "system": system.name, "rows": rows })
    };
    results.compared().iter().map(tests).collect()
}

/// A system's differences from the first, query by query, in descending order.
pub(super) fn differences(results: &Results) -> Value {
    let of = |system: &SystemResults| {
        let (ours, theirs) = (&system.evaluation.values, &results.systems[0].evaluation.values);
        let pairs = ours[results.primary].iter().zip(&theirs[results.primary]);
        let mut differences: Vec<f64> = pairs.map(|(ours, theirs)| ours - theirs).collect();
        let Tally { wins, ties, losses } = Tally::of(&differences);
        differences.sort_by(|a, b| b.total_cmp(a));
        let step = differences.len().div_ceil(MAX_BARS).max(1);
        let drawn: Vec<f64> = differences.iter().copied().step_by(step).collect();
        let end = |value: Option<&f64>| signed(value.copied().unwrap_or(0.0));
        json!({
            "system": system.name,
            "chart": waterfall(&drawn, "Difference of every query, highest first"),
            "wins": wins,
            "ties": ties,
            "losses": losses,
            "best": end(differences.first()),
            "worst": end(differences.last()),
            "step": step,
        })
    };
    results.compared().iter().map(of).collect()
}

/// A horizontal axis on which several intervals are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    /// An axis that contains all of `values`, and 0.
    pub(super) fn containing(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = values.into_iter().fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        let padding = 0.04 * (high - low).max(1e-9);
        Self { low: low - padding, high: high + padding }
    }

    /// An interval with a point, in per cent of the axis, and where 0 is if the axis contains it.
    pub(super) fn track(self, (from, to): (f64, f64), point: f64) -> Value {
        let Self { low, high } = self;
        let share = |value: f64| 100.0 * (value - low) / (high - low);
        let percent = |share: f64| format!("{share:.2}%");
        json!({
            "zero": (low..=high).contains(&0.0).then(|| percent(share(0.0))),
            "left": percent(share(from)),
            "width": percent(share(to) - share(from)),
            "point": percent(share(point)),
        })
    }
}
