//! Which metrics are reported, and which one decides.

use std::num::NonZeroUsize;

use embtune_metrics::{Kind, Metric};

use crate::cli::{Compat, GateArgs, MetricArgs};

/// Kinds that are reported unless the user names others.
const KINDS: [Kind; 6] = [Kind::Ndcg, Kind::Recall, Kind::Mrr, Kind::Precision, Kind::Map, Kind::Accuracy];
const CUTOFFS: [usize; 3] = [1, 5, 10];

/// Defaults of sentence-transformers' evaluator.
const ST: [(Kind, &[usize]); 6] = [
    (Kind::Accuracy, &[1, 3, 5, 10]),
    (Kind::Precision, &[1, 3, 5, 10]),
    (Kind::Recall, &[1, 3, 5, 10]),
    (Kind::Ndcg, &[10]),
    (Kind::Mrr, &[10]),
    (Kind::CappedMap, &[100]),
];
/// Defaults of BEIR's evaluator.
const BEIR: [Kind; 4] = [Kind::Ndcg, Kind::Map, Kind::Recall, Kind::Precision];
const BEIR_CUTOFFS: [usize; 6] = [1, 3, 5, 10, 100, 1000];

/// The metric that decides unless the user says otherwise.
const PRIMARY: Metric = Metric { kind: Kind::Ndcg, k: NonZeroUsize::new(10) };

/// The metrics of a report, each once.
pub(crate) struct Selection {
    pub(crate) metrics: Vec<Metric>,
    /// Index of the one that decides.
    pub(crate) primary: usize,
}

impl Selection {
    pub(crate) fn new(args: &MetricArgs, gates: &GateArgs) -> Self {
        // What sentence-transformers calls MAP.
        let compatible = |metric: Metric| match (args.compat, metric.kind) {
            (Some(Compat::St), Kind::Map) => Metric { kind: Kind::CappedMap, ..metric },
            _ => metric,
        };
        let asked: Vec<Metric> = match (&args.metrics[..], &args.cutoffs[..], args.compat) {
            ([], [], Some(Compat::St)) => ST.iter().flat_map(|(kind, cutoffs)| at(*kind, cutoffs)).collect(),
            ([], [], Some(Compat::Beir)) => BEIR.into_iter().flat_map(|kind| at(kind, &BEIR_CUTOFFS)).collect(),
            ([], [], _) => KINDS.into_iter().flat_map(|kind| at(kind, &CUTOFFS)).collect(),
            ([], cutoffs, _) => {
                let of_kind = |kind| cutoffs.iter().map(move |k| compatible(Metric { kind, k: Some(*k) }));
                KINDS.into_iter().flat_map(of_kind).collect()
            }
            (metrics, ..) => metrics.iter().copied().map(compatible).collect(),
        };
        let primary = args.primary.map(compatible);
        let gated = gates.fail_under.iter().map(|threshold| compatible(threshold.metric));
        // A primary metric that was not among them leads; one that only a gate needs comes last.
        let leading = primary.filter(|primary| !asked.contains(primary));
        let mut metrics: Vec<Metric> = Vec::new();
        for metric in leading.into_iter().chain(asked).chain(gated) {
            if !metrics.contains(&metric) {
                metrics.push(metric);
            }
        }
        let decides = primary.unwrap_or(PRIMARY);
        let primary = metrics.iter().position(|metric| *metric == decides).unwrap_or(0);
        Self { metrics, primary }
    }

    /// Hits that the metrics need of each query, and `least`.
    pub(crate) fn depth(&self, least: NonZeroUsize) -> usize {
        self.metrics.iter().filter_map(|metric| metric.k).fold(least, NonZeroUsize::max).get()
    }
}

fn at(kind: Kind, cutoffs: &[usize]) -> impl Iterator<Item = Metric> {
    cutoffs.iter().map(move |k| Metric { kind, k: NonZeroUsize::new(*k) })
}
