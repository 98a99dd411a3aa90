//! All that is reported, and the forms it takes.

mod csv;
mod diagnosis;
mod html;
mod json;
mod latex;
mod markdown;
mod outputs;
mod per_query;
mod run_file;
mod table;
mod trec;
mod tsv;
mod verdict;

use anyhow::bail;
use embtune_cli::Session;
use embtune_metrics::Metric;
use embtune_records::{JudgedQuery, Judgments, MissingQueries};

use crate::cli::Missing;
use crate::compare::{Comparison, compare};
use crate::input::System;
use crate::measure::{Evaluation, Names, Rules, Selection};

pub(crate) use outputs::Outputs;
pub(crate) use run_file::write as write_run;

/// What one system reached, and how it differs from the first.
pub(crate) struct Measured {
    pub(crate) name: String,
    /// In words, where its rankings come from.
    pub(crate) origin: String,
    pub(crate) evaluation: Evaluation,
    /// Measured queries that the system did not answer.
    pub(crate) missing: usize,
    /// One for each metric; none for the first system.
    pub(crate) comparisons: Vec<Comparison>,
}

impl Measured {
    pub(crate) fn new(system: &System, origin: String, evaluation: Evaluation) -> Self {
        let missing = evaluation.missing();
        Self { name: system.name.clone(), origin, evaluation, missing, comparisons: Vec::new() }
    }
}

/// All that is reported.
pub(crate) struct Report {
    pub(crate) metrics: Vec<Metric>,
    /// Index of the metric that decides.
    pub(crate) primary: usize,
    pub(crate) names: Names,
    /// The queries that are measured.
    pub(crate) queries: Vec<JudgedQuery>,
    /// Queries in the judgments.
    pub(crate) in_file: usize,
    /// Those without a relevant document.
    pub(crate) without_relevant: usize,
    pub(crate) systems: Vec<Measured>,
}

impl Report {
    /// Compares the systems with the first.
    ///
    /// # Errors
    /// When every query is left out.
    pub(crate) fn new(
        Selection { metrics, primary }: Selection,
        names: Names,
        judgments: &Judgments,
        mut systems: Vec<Measured>,
        rules: Rules,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut queries = judgments.queries().to_vec();
        if rules.missing == Missing::Skip {
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
        let (in_file, without_relevant) = (judgments.in_file(), judgments.without_relevant());
        Ok(Self { metrics, primary, names, queries, in_file, without_relevant, systems })
    }

    /// The systems but the first, which they are compared with.
    pub(crate) fn compared(&self) -> &[Measured] {
        self.systems.get(1..).unwrap_or_default()
    }

    /// What the metric at this index is called.
    pub(crate) fn name(&self, metric: usize) -> String {
        self.names.of(self.metrics[metric])
    }

    /// The figure of a system, as it is reported.
    pub(crate) fn value(&self, system: &Measured, metric: usize) -> f64 {
        self.names.value(system.evaluation.mean(metric))
    }

    /// Where a metric stands.
    pub(crate) fn index_of(&self, metric: Metric) -> Option<usize> {
        self.metrics.iter().position(|reported| *reported == metric)
    }
}

/// Says that judged queries are missing, and what that means.
pub(crate) fn say_missing(
    system: &str,
    queries: &MissingQueries,
    missing: Missing,
    session: &Session,
) -> anyhow::Result<()> {
    match missing {
        Missing::Zero => session.warn(format!("{system}: {queries}; missing queries count as 0")),
        Missing::Skip => session.warn(format!("{system}: {queries}; missing queries are left out")),
        Missing::Error => bail!("{system}: {queries}"),
    }
    Ok(())
}
