//! `--fail-under`: a metric and its bound.

use std::str::FromStr;

use embtune_metrics::Metric;

/// A metric with the value under which the answer is no.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) metric: Metric,
    pub(crate) least: f64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (metric, least) = text.split_once('=').ok_or("expected METRIC=NUM, such as ndcg@10=0.8")?;
        let metric = metric.parse().map_err(|error| format!("{error}"))?;
        match least.parse() {
            Ok(least) if (0.0..=1.0).contains(&least) => Ok(Self { metric, least }),
            _ => Err(format!("a bound must be a number from 0 to 1, found \"{least}\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Threshold;

    #[test]
    fn bounds_are_shares() {
        let read = |text: &str| text.parse::<Threshold>();
        assert_eq!(read("ndcg@10=0.8").unwrap().least, 0.8);
        assert_eq!(read("ndcg@10").unwrap_err(), "expected METRIC=NUM, such as ndcg@10=0.8");
        for bad in ["ndcg@10=80", "ndcg@10=-1", "ndcg@10=NaN", "ndcg@10=", "nope=0.5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
