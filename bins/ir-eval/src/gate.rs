//! `--fail-under` and `--fail-on-regression`: whether the answer is no.

use embtune_cli::{Outcome, Session};

use crate::cli::GateArgs;
use crate::report::Report;

/// Rounding is no regression.
const ROUNDING: f64 = 1e-9;

/// Says which bounds the last system breaks, and how the program ends.
pub(crate) fn outcome(gates: &GateArgs, report: &Report, session: &Session) -> Outcome {
    let broken = broken(gates, report);
    for message in &broken {
        session.warn(message);
    }
    if broken.is_empty() { Outcome::Done } else { Outcome::Incomplete }
}

fn broken(gates: &GateArgs, report: &Report) -> Vec<String> {
    let mut broken = Vec::new();
    let Some(last) = report.systems.last() else { return broken };
    for threshold in &gates.fail_under {
        let Some(index) = report.index_of(threshold.metric) else { continue };
        let value = last.evaluation.mean(index);
        if value < threshold.least - ROUNDING {
            broken.push(format!("{}: {} is {value:.4}, under {}", last.name, threshold.metric, threshold.least));
        }
    }
    if let (Some(most), Some(comparison)) = (gates.fail_on_regression, last.comparisons.get(report.primary))
        && comparison.difference < -most - ROUNDING
    {
        let (name, first, metric) = (&last.name, &report.systems[0].name, report.metrics[report.primary]);
        let lower = -comparison.difference;
        broken.push(format!("{name}: {metric} is {lower:.4} lower than {first}'s, more than {most}"));
    }
    broken
}
