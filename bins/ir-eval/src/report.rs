//! All that is reported, before it takes a form.

use embtune_metrics::Metric;

use crate::compare::Comparison;
use crate::evaluate::Evaluation;

/// What one system reached, and how it differs from the first.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) evaluation: Evaluation,
    /// Measured queries that the system did not answer.
    pub(crate) missing: usize,
    /// One for each metric; none for the first system.
    pub(crate) comparisons: Vec<Comparison>,
}

/// All that is reported.
pub(crate) struct Report {
    pub(crate) metrics: Vec<Metric>,
    /// Index of the metric that decides.
    pub(crate) primary: usize,
    /// Queries in the judgments.
    pub(crate) queries: usize,
    /// Those with a relevant document, which are measured.
    pub(crate) measured: usize,
    pub(crate) systems: Vec<Measured>,
}

impl Report {
    /// The systems but the first, which they are compared with.
    pub(crate) fn compared(&self) -> &[Measured] {
        self.systems.get(1..).unwrap_or_default()
    }
}
