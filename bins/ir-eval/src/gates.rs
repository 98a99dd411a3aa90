//! `--fail-under` and `--fail-on-regression`: when the answer is no.

use std::fmt;
use std::str::FromStr;

use embtune_metrics::Metric;

use crate::results::Results;

/// Differences up to this are due to rounding and break no gate.
const EPSILON: f64 = 1e-9;

/// A metric with its lower bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) metric: Metric,
    pub(crate) min: f64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (metric, min) = text.split_once('=').ok_or("expected METRIC=NUM, such as ndcg@10=0.8")?;
        let metric = metric.parse().map_err(|error| format!("{error}"))?;
        match min.parse() {
            Ok(min) if (0.0..=1.0).contains(&min) => Ok(Self { metric, min }),
            _ => Err(format!("a bound must be a number from 0 to 1, found \"{min}\"")),
        }
    }
}

/// The gates that the last system has to pass.
pub(crate) struct GateSettings {
    pub(crate) fail_under: Vec<Threshold>,
    pub(crate) fail_on_regression: Option<f64>,
}

/// A gate that the last system did not pass.
#[derive(Debug, PartialEq)]
pub(crate) enum Failure<'a> {
    Under { system: &'a str, threshold: Threshold, value: f64 },
    Regression { system: &'a str, first: &'a str, metric: Metric, drop: f64, max: f64 },
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Under { system, threshold: Threshold { metric, min }, value } => {
                write!(f, "{system}: {metric} is {value:.4}, under {min}")
            }
            Self::Regression { system, first, metric, drop, max } => {
                write!(f, "{system}: {metric} is {drop:.4} lower than {first}'s, more than {max}")
            }
        }
    }
}

/// The gates that the last system did not pass.
pub(crate) fn failures<'a>(gates: &GateSettings, results: &'a Results) -> Vec<Failure<'a>> {
    let mut failures = Vec::new();
    let Some(last) = results.systems.last() else { return failures };
    for threshold in &gates.fail_under {
        let Some(index) = results.metrics.iter().position(|metric| *metric == threshold.metric) else { continue };
        let value = last.evaluation.mean(index);
        if value < threshold.min - EPSILON {
            failures.push(Failure::Under { system: &last.name, threshold: *threshold, value });
        }
    }
    if let (Some(max), Some(comparison)) = (gates.fail_on_regression, last.comparisons.get(results.primary))
        && comparison.difference < -max - EPSILON
    {
        let metric = results.metrics[results.primary];
        let (first, drop) = (&*results.systems[0].name, -comparison.difference);
        failures.push(Failure::Regression { system: &last.name, first, metric, drop, max });
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::Threshold;

    #[test]
    fn bounds_are_shares() {
        let read = |text: &str| text.parse::<Threshold>();
        assert_eq!(read("ndcg@10=0.8").unwrap().min, 0.8);
        assert_eq!(read("ndcg@10").unwrap_err(), "expected METRIC=NUM, such as ndcg@10=0.8");
        for bad in ["ndcg@10=80", "ndcg@10=-1", "ndcg@10=NaN", "ndcg@10=", "nope=0.5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
