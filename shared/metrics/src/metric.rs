//! Metrics by name: `ndcg@10`.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::{accuracy, average_precision, ndcg, precision, recall, reciprocal_rank};

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// See [`ndcg`].
    Ndcg,
    /// See [`recall`].
    Recall,
    /// See [`reciprocal_rank`].
    Mrr,
    /// See [`precision`].
    Precision,
    /// See [`average_precision`].
    Map,
    /// See [`accuracy`].
    Accuracy,
}

impl Kind {
    /// Every kind, in the order in which reports show them.
    pub const ALL: [Self; 6] = [Self::Ndcg, Self::Recall, Self::Mrr, Self::Precision, Self::Map, Self::Accuracy];

    /// The name in front of `@`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ndcg => "ndcg",
            Self::Recall => "recall",
            Self::Mrr => "mrr",
            Self::Precision => "precision",
            Self::Map => "map",
            Self::Accuracy => "accuracy",
        }
    }
}

/// A metric of the first k documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Metric {
    /// What is measured.
    pub kind: Kind,
    /// How many documents are looked at.
    pub k: NonZeroUsize,
}

impl Metric {
    /// The value of one query; the metric of a system is the mean over queries.
    ///
    /// `ranked` and `ideal` are explained at the top of this crate.
    pub fn value(self, ranked: &[i64], ideal: &[i64]) -> f64 {
        let k = self.k.get();
        match self.kind {
            Kind::Ndcg => ndcg(ranked, ideal, k),
            Kind::Recall => recall(ranked, ideal, k),
            Kind::Mrr => reciprocal_rank(ranked, k),
            Kind::Precision => precision(ranked, k),
            Kind::Map => average_precision(ranked, ideal, k),
            Kind::Accuracy => accuracy(ranked, k),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.kind.name(), self.k))
    }
}

/// Why a text names no metric.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMetricError {
    /// There is no `@`.
    #[error("expected NAME@K such as ndcg@10")]
    NoCutoff,
    /// The name is none of [`Kind::ALL`].
    #[error("no metric is called \"{name}\"; there are {}", Kind::ALL.map(Kind::name).join(", "))]
    UnknownName {
        /// What was found in front of `@`.
        name: String,
    },
    /// What follows `@` is no whole number from 1 on.
    #[error("the cutoff behind @ must be a whole number from 1 on, found \"{0}\"")]
    BadCutoff(String),
}

impl FromStr for Metric {
    type Err = ParseMetricError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, k) = text.split_once('@').ok_or(ParseMetricError::NoCutoff)?;
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| ParseMetricError::UnknownName { name: name.into() })?;
        let k = k.parse().map_err(|_| ParseMetricError::BadCutoff(k.into()))?;
        Ok(Self { kind, k })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for kind in Kind::ALL {
            let name = format!("{}@100", kind.name());
            assert_eq!(name.parse::<Metric>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn errors_say_what_is_expected() {
        let message = |text: &str| text.parse::<Metric>().unwrap_err().to_string();
        assert_eq!(message("ndcg"), "expected NAME@K such as ndcg@10");
        assert_eq!(
            message("ndgc@10"),
            "no metric is called \"ndgc\"; there are ndcg, recall, mrr, precision, map, accuracy"
        );
        for bad in ["map@0", "map@", "map@-1", "map@1.5", "map@x"] {
            assert!(message(bad).starts_with("the cutoff behind @ must be a whole number from 1 on"), "{bad}");
        }
    }
}
