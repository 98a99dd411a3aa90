//! The figures: bars before and after, differences with their intervals.

use serde::Serialize;

use super::super::verdict::p_value;
use super::super::{Measured, Report};
use super::class;
use super::track::{Track, ends};

/// What stands at the top in large letters.
#[derive(Serialize)]
pub(super) struct Headline {
    name: String,
    class: String,
    value: String,
}

/// Against the first system.
#[derive(Serialize)]
struct Change {
    sign: &'static str,
    difference: String,
    mark: &'static str,
    track: Track,
}

/// A metric of all systems.
#[derive(Serialize)]
pub(super) struct Figure {
    metric: String,
    primary: bool,
    bars: Vec<Bar>,
}

#[derive(Serialize)]
struct Bar {
    class: String,
    name: String,
    width: String,
    value: String,
    change: Option<Change>,
}

/// All tests of a difference.
#[derive(Serialize)]
pub(super) struct Tests {
    system: String,
    rows: Vec<[String; 10]>,
}

pub(super) fn headline(report: &Report) -> Vec<Headline> {
    let headline = |(index, system): (usize, &Measured)| Headline {
        name: system.name.clone(),
        class: class(index),
        value: format!("{:.4}", system.evaluation.mean(report.primary)),
    };
    report.systems.iter().enumerate().map(headline).collect()
}

pub(super) fn all(report: &Report) -> Vec<Figure> {
    let ends = scale(report);
    let bar = |index: usize, metric: usize| {
        let system = &report.systems[index];
        let value = system.evaluation.mean(metric);
        Bar {
            class: class(index),
            name: system.name.clone(),
            width: format!("{:.2}%", 100.0 * value.clamp(0.0, 1.0)),
            value: format!("{value:.4}"),
            change: change(system, metric, ends),
        }
    };
    let figure = |metric: usize| Figure {
        metric: report.name(metric),
        primary: metric == report.primary,
        bars: (0..report.systems.len()).map(|index| bar(index, metric)).collect(),
    };
    (0..report.metrics.len()).map(figure).collect()
}

/// One line for all intervals, so that they can be compared by eye.
fn scale(report: &Report) -> (f64, f64) {
    let comparisons = report.systems.iter().flat_map(|system| &system.comparisons);
    ends(comparisons.flat_map(|comparison| [comparison.interval.low, comparison.interval.high]))
}

fn change(system: &Measured, metric: usize, ends: (f64, f64)) -> Option<Change> {
    let comparison = system.comparisons.get(metric)?;
    let (low, high) = (comparison.interval.low, comparison.interval.high);
    Some(Change {
        sign: match comparison.difference {
            difference if difference > 0.0 => "gain",
            difference if difference < 0.0 => "loss",
            _ => "same",
        },
        difference: signed(comparison.difference),
        mark: match (comparison.is_significant(), comparison.withstands_holm()) {
            (true, true) => "**",
            (true, false) => "*",
            (false, _) => "",
        },
        track: Track::new(ends, (low, high), comparison.difference),
    })
}

pub(super) fn tests(report: &Report) -> Vec<Tests> {
    let row = |system: &Measured, metric: usize| {
        let comparison = &system.comparisons[metric];
        let optional = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.3}"));
        [
            report.name(metric),
            signed(comparison.difference),
            p_value(comparison.randomisation.p, ""),
            p_value(comparison.holm, ""),
            comparison.t_test.map(|test| p_value(test.p, "")).unwrap_or_default(),
            p_value(comparison.wilcoxon.p, ""),
            optional(comparison.effect_size),
            comparison.tally.wins.to_string(),
            comparison.tally.ties.to_string(),
            comparison.tally.losses.to_string(),
        ]
    };
    let tests = |system: &Measured| Tests {
        system: system.name.clone(),
        rows: (0..report.metrics.len()).map(|metric| row(system, metric)).collect(),
    };
    report.compared().iter().map(tests).collect()
}

/// With a true minus.
pub(super) fn signed(value: f64) -> String {
    format!("{value:+.4}").replace('-', "\u{2212}")
}
