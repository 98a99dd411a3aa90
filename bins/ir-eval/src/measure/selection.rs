//! Which metrics are reported, and which of them is the primary one.

use std::num::NonZeroUsize;

use embtune_metrics::{Kind, Metric};

use super::{Compat, MetricArgs, compatible_metric};

/// The metrics that are reported unless the user names others.
const DEFAULT_KINDS: [Kind; 6] = [Kind::Ndcg, Kind::Recall, Kind::Mrr, Kind::Precision, Kind::Map, Kind::Accuracy];
const DEFAULT_CUTOFFS: [usize; 3] = [1, 5, 10];

/// The defaults of sentence-transformers' evaluator.
const ST: [(Kind, &[usize]); 6] = [
    (Kind::Accuracy, &[1, 3, 5, 10]),
    (Kind::Precision, &[1, 3, 5, 10]),
    (Kind::Recall, &[1, 3, 5, 10]),
    (Kind::Ndcg, &[10]),
    (Kind::Mrr, &[10]),
    (Kind::CappedMap, &[100]),
];
/// The defaults of BEIR's evaluator.
const BEIR_KINDS: [Kind; 4] = [Kind::Ndcg, Kind::Map, Kind::Recall, Kind::Precision];
const BEIR_CUTOFFS: [usize; 6] = [1, 3, 5, 10, 100, 1000];

/// The primary metric unless the user names another.
const DEFAULT_PRIMARY: Metric = Metric { kind: Kind::Ndcg, k: NonZeroUsize::new(10) };

/// The metrics of a report, each once.
pub(crate) struct Selection {
    pub(crate) metrics: Vec<Metric>,
    /// The index of the primary one.
    pub(crate) primary: usize,
}

impl Selection {
    /// The metrics that the user chose, and those that have a bound.
    pub(crate) fn new(args: &MetricArgs, gated: impl Iterator<Item = Metric>) -> Self {
        let MetricArgs { compat, cutoffs, metrics, primary, .. } = args;
        let compatible = |metric: Metric| compatible_metric(*compat, metric);
        let requested: Vec<Metric> = match (&metrics[..], &cutoffs[..], compat) {
            ([], [], Some(Compat::St)) => ST.iter().flat_map(|(kind, cutoffs)| at(*kind, cutoffs)).collect(),
            ([], [], Some(Compat::Beir)) => BEIR_KINDS.into_iter().flat_map(|kind| at(kind, &BEIR_CUTOFFS)).collect(),
            ([], [], _) => DEFAULT_KINDS.into_iter().flat_map(|kind| at(kind, &DEFAULT_CUTOFFS)).collect(),
            ([], cutoffs, _) => {
                let of_kind = |kind| cutoffs.iter().map(move |k| compatible(Metric { kind, k: Some(*k) }));
                DEFAULT_KINDS.into_iter().flat_map(of_kind).collect()
            }
            (metrics, ..) => metrics.iter().copied().map(compatible).collect(),
        };
        let primary = primary.map(compatible);
        // A primary metric that was not requested leads; one that only a gate needs comes last.
        let leading = primary.filter(|primary| !requested.contains(primary));
        let mut metrics: Vec<Metric> = Vec::new();
        for metric in leading.into_iter().chain(requested).chain(gated.map(compatible)) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        let primary = primary.unwrap_or(DEFAULT_PRIMARY);
        let primary = metrics.iter().position(|metric| *metric == primary).unwrap_or(0);
        Self { metrics, primary }
    }

    /// How many hits per query the metrics need, at least `min`.
    pub(crate) fn depth(&self, min: NonZeroUsize) -> usize {
        self.metrics.iter().filter_map(|metric| metric.k).fold(min, NonZeroUsize::max).get()
    }
}

fn at(kind: Kind, cutoffs: &[usize]) -> impl Iterator<Item = Metric> {
    cutoffs.iter().map(move |k| Metric { kind, k: NonZeroUsize::new(*k) })
}
