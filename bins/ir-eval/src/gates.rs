//! `--fail-under` and `--fail-on-regression`: when the answer is no.

use std::str::FromStr;

use clap::Args;
use embtune_cli::parse_not_negative;
use embtune_metrics::Metric;

use crate::measure::compatible_metric;
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

/// When the answer is no.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gates")]
pub(crate) struct GateArgs {
    /// Exit with 1 if a metric of the last system is under a bound, such as ndcg@10=0.8
    #[arg(long, value_name = "METRIC=NUM,...", value_delimiter = ',', hide_short_help = true)]
    pub(crate) fail_under: Vec<Threshold>,

    /// Exit with 1 if the last system's primary metric is lower than the first one's by more than this
    #[arg(long, value_name = "NUM", value_parser = parse_not_negative, hide_short_help = true)]
    pub(crate) fail_on_regression: Option<f64>,
}

/// The gates that the last system did not pass, in words.
pub(crate) fn failures(gates: &GateArgs, results: &Results) -> Vec<String> {
    let mut failures = Vec::new();
    let Some(last) = results.systems.last() else { return failures };
    let system = &last.name;
    for Threshold { metric, min } in &gates.fail_under {
        let metric = compatible_metric(results.names.compat, *metric);
        let Some(index) = results.metrics.iter().position(|other| *other == metric) else { continue };
        let value = last.evaluation.mean(index);
        if value < min - EPSILON {
            failures.push(format!("{system}: {metric} is {value:.4}, under {min}"));
        }
    }
    if let (Some(max), Some(comparison)) = (gates.fail_on_regression, last.comparisons.get(results.primary))
        && comparison.difference < -max - EPSILON
    {
        let (metric, first) = (results.metrics[results.primary], &results.systems[0].name);
        let drop = -comparison.difference;
        failures.push(format!("{system}: {metric} is {drop:.4} lower than {first}'s, more than {max}"));
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
