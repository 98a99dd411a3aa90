//! What changed, query by query.

use embtune_metrics::Tally;
use serde::Serialize;

use super::super::{Measured, Report};
use super::svg::waterfall;

/// Bars that a page can show; of more queries, those at even steps are drawn.
const MOST_BARS: usize = 600;

/// The differences of a system to the first, highest first.
#[derive(Serialize)]
pub(super) struct Differences {
    system: String,
    chart: String,
    wins: usize,
    ties: usize,
    losses: usize,
    best: String,
    worst: String,
    /// Queries that a bar stands for.
    step: usize,
}

pub(super) fn all(report: &Report) -> Vec<Differences> {
    report.compared().iter().map(|system| of(report, system)).collect()
}

fn of(report: &Report, system: &Measured) -> Differences {
    let (ours, theirs) = (&system.evaluation.values, &report.systems[0].evaluation.values);
    let pairs = ours[report.primary].iter().zip(&theirs[report.primary]);
    let mut differences: Vec<f64> = pairs.map(|(ours, theirs)| ours - theirs).collect();
    let Tally { wins, ties, losses } = Tally::of(&differences);
    differences.sort_by(|a, b| b.total_cmp(a));
    let step = differences.len().div_ceil(MOST_BARS).max(1);
    let drawn: Vec<f64> = differences.iter().copied().step_by(step).collect();
    let end = |value: Option<&f64>| super::figures::signed(value.copied().unwrap_or(0.0));
    Differences {
        system: system.name.clone(),
        chart: waterfall(&drawn, "Difference of every query, highest first"),
        wins,
        ties,
        losses,
        best: end(differences.first()),
        worst: end(differences.last()),
        step,
    }
}
