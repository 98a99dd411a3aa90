//! Recall by rank, precision by recall.

use embtune_metrics::{interpolated_precision, mean};
use embtune_records::JudgedQuery;
use serde::Serialize;

use super::super::{Measured, Report};
use super::class;
use super::svg::{Chart, Scale};
use crate::diagnose::CONTEXT_RECALL;

/// The two charts.
#[derive(Serialize)]
pub(super) struct Curves {
    recall: String,
    precision: String,
}

/// The curves of all systems, over the queries with a relevant document; recall down to `depth`.
pub(super) fn all(report: &Report, depth: usize) -> Curves {
    let deepest = depth.max(2);
    let ranks: Vec<usize> = (1..=deepest).collect();
    let unit = Scale::Linear(0.0, 1.0);
    let mut recall = Chart::new(Scale::Log(1.0, deepest as f64), unit, "rank k");
    recall.mark(CONTEXT_RECALL, "0.75");
    let mut precision = Chart::new(unit, unit, "recall");
    for (index, system) in report.systems.iter().enumerate() {
        let found = found(report, system);
        let at = |k: usize| {
            let share = |(query, ranks): &(&JudgedQuery, &[usize])| {
                ranks.partition_point(|rank| *rank <= k) as f64 / relevant(query) as f64
            };
            mean(&found.iter().map(share).collect::<Vec<f64>>())
        };
        recall.line(ranks.iter().map(|k| (*k as f64, at(*k))), &class(index));
        let curves: Vec<[f64; 11]> =
            found.iter().map(|(query, ranks)| interpolated_precision(ranks, relevant(query))).collect();
        let level = |tenths: usize| mean(&curves.iter().map(|curve| curve[tenths]).collect::<Vec<f64>>());
        precision.line((0..11).map(|tenths| (tenths as f64 / 10.0, level(tenths))), &class(index));
    }
    Curves {
        recall: recall.finish("Recall at k, by rank"),
        precision: precision.finish("Interpolated precision, by recall"),
    }
}

/// Every query that has a relevant document, with the ranks of those that were found.
fn found<'a>(report: &'a Report, system: &'a Measured) -> Vec<(&'a JudgedQuery, &'a [usize])> {
    let hits = system.evaluation.hits.iter().map(|hits| hits.as_ref().map_or(&[][..], |hits| &hits.ranks));
    report.queries.iter().zip(hits).filter(|(query, _)| query.has_relevant()).collect()
}

/// R.
fn relevant(query: &JudgedQuery) -> usize {
    query.ideal.iter().filter(|relevance| **relevance > 0).count()
}
