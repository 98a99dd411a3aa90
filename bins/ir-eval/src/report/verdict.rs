//! The answer in a sentence.

use super::{Measured, Report};
use crate::compare::CONFIDENCE;

/// Whether a system differs from the first one on the primary metric, with the figures that say so.
pub(super) fn sentence(report: &Report, system: &Measured) -> String {
    let metric = report.name(report.primary);
    let (comparison, first) = (&system.comparisons[report.primary], &report.systems[0].name);
    let name = &system.name;
    let verdict = match (comparison.is_significant(), comparison.difference > 0.0) {
        (true, true) => format!("{name} is significantly better than {first} on {metric}"),
        (true, false) => format!("{name} is significantly worse than {first} on {metric}"),
        (false, _) => format!("{name} does not differ significantly from {first} on {metric}"),
    };
    let (interval, tally) = (comparison.interval, comparison.tally);
    format!(
        "{verdict}: {:+.4}, {:.0} % CI {:+.4} to {:+.4}, p {}, n = {} queries ({} wins, {} ties, {} losses).",
        comparison.difference,
        100.0 * CONFIDENCE,
        interval.low,
        interval.high,
        p_value(comparison.randomisation.p, "= "),
        report.queries.len(),
        tally.wins,
        tally.ties,
        tally.losses,
    )
}

/// A p-value of four digits; `equals` stands before one that is not too small for them.
pub(super) fn p_value(p: f64, equals: &str) -> String {
    if p < 0.000_05 { "< 0.0001".into() } else { format!("{equals}{p:.4}") }
}
