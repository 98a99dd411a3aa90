//! From rankings to numbers.

use embtune_metrics::{Metric, mean};
use embtune_records::{Judgments, Run};

/// What one system reached.
pub(crate) struct Evaluation {
    /// For each metric, the value of each measured query.
    pub(crate) values: Vec<Vec<f64>>,
}

impl Evaluation {
    /// Measures every query that has a relevant document; one that the run does not answer has the value 0.
    pub(crate) fn new(judgments: &Judgments, run: &Run, metrics: &[Metric]) -> Self {
        let mut values = vec![Vec::with_capacity(judgments.queries().len()); metrics.len()];
        for query in judgments.queries() {
            let ranking = run.queries.get(&query.id).map(Vec::as_slice).unwrap_or_default();
            let ranked = judgments.relevances(&query.id, ranking.iter().map(|entry| entry.document.as_str()));
            for (metric, values) in metrics.iter().zip(&mut values) {
                values.push(metric.value(&ranked, &query.ideal));
            }
        }
        Self { values }
    }

    /// The figure of the metric at this index: the mean over the queries.
    pub(crate) fn mean(&self, metric: usize) -> f64 {
        mean(&self.values[metric])
    }
}
