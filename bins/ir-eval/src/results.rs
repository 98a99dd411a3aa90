//! The results of all systems, which reports, the diagnosis and the gates look at.

use anyhow::bail;
use embtune_metrics::Metric;
use embtune_records::{JudgedQuery, Judgments};

use crate::comparison::{Comparison, compare};
use crate::measure::{Evaluation, MetricNames, MissingPolicy, Rules, Selection};

/// The results of one system.
pub(crate) struct SystemResults {
    pub(crate) name: String,
    /// A description of the source of its rankings.
    pub(crate) origin: String,
    pub(crate) evaluation: Evaluation,
    /// How many measured queries the system did not answer.
    pub(crate) missing: usize,
    /// Its comparison with the first system, one per metric; empty for the first system itself.
    pub(crate) comparisons: Vec<Comparison>,
}

/// The results of all systems.
pub(crate) struct Results {
    pub(crate) metrics: Vec<Metric>,
    /// The index of the primary metric.
    pub(crate) primary: usize,
    pub(crate) names: MetricNames,
    /// The queries that are measured.
    pub(crate) queries: Vec<JudgedQuery>,
    /// How many queries the judgments have.
    pub(crate) judged_queries: usize,
    /// How many of them have no relevant document.
    pub(crate) without_relevant: usize,
    pub(crate) systems: Vec<SystemResults>,
}

impl Results {
    /// Compares the systems with the first.
    ///
    /// # Errors
    /// When every query is left out.
    pub(crate) fn new(
        Selection { metrics, primary }: Selection,
        names: MetricNames,
        judgments: &Judgments,
        mut systems: Vec<SystemResults>,
        rules: Rules,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut queries = judgments.queries().to_vec();
        if rules.missing == MissingPolicy::Skip {
            let answered = |query: usize| systems.iter().all(|system| system.evaluation.hits[query].is_some());
            let kept: Vec<bool> = (0..queries.len()).map(answered).collect();
            systems.iter_mut().for_each(|system| system.evaluation.retain(&kept));
            let mut keep = kept.iter();
            queries.retain(|_| *keep.next().unwrap_or(&true));
            if queries.is_empty() {
                bail!("no judged query is answered by all systems, so --missing skip leaves none");
            }
        }
        if let Some((first, others)) = systems.split_first_mut() {
            for system in others {
                system.comparisons = compare(&system.evaluation, &first.evaluation, seed);
            }
        }
        let (judged_queries, without_relevant) = (judgments.in_file(), judgments.without_relevant());
        Ok(Self { metrics, primary, names, queries, judged_queries, without_relevant, systems })
    }

    /// All systems but the first, with which they are compared.
    pub(crate) fn compared(&self) -> &[SystemResults] {
        self.systems.get(1..).unwrap_or_default()
    }

    /// The name of the metric with this index.
    pub(crate) fn metric_name(&self, metric: usize) -> String {
        self.names.of(self.metrics[metric])
    }

    /// A system's value of a metric, as it is reported.
    pub(crate) fn value(&self, system: &SystemResults, metric: usize) -> f64 {
        self.names.value(system.evaluation.mean(metric))
    }
}
