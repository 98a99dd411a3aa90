//! Recall by rank, and precision by recall.

use embtune_metrics::{interpolated_precision, mean};
use embtune_records::JudgedQuery;
use serde_json::{Value, json};

use super::class;
use super::svg::{Chart, Scale};
use crate::diagnosis::CONTEXT_RECALL;
use crate::results::{Results, SystemResults};

/// The curves of all systems over the queries with a relevant document; recall down to rank `depth`.
pub(super) fn curves(results: &Results, depth: usize) -> Value {
    let deepest = depth.max(2);
    let unit = Scale::Linear(0.0, 1.0);
    let mut recall = Chart::new(Scale::Log(1.0, deepest as f64), unit, "rank k");
    recall.mark(CONTEXT_RECALL, "0.75");
    let mut precision = Chart::new(unit, unit, "recall");
    for (index, system) in results.systems.iter().enumerate() {
        let found = relevant_ranks(results, system);
        let recall_at = |k: usize| {
            let share = |(query, ranks): &(&JudgedQuery, &[usize])| {
                ranks.partition_point(|rank| *rank <= k) as f64 / query.relevant() as f64
            };
            mean(&found.iter().map(share).collect::<Vec<f64>>())
        };
        recall.line((1..=deepest).map(|k| (k as f64, recall_at(k))), &class(index));
        let curves: Vec<[f64; 11]> =
            found.iter().map(|(query, ranks)| interpolated_precision(ranks, query.relevant())).collect();
        let level = |tenths: usize| mean(&curves.iter().map(|curve| curve[tenths]).collect::<Vec<f64>>());
        precision.line((0..11).map(|tenths| (tenths as f64 / 10.0, level(tenths))), &class(index));
    }
    json!({
        "recall": recall.finish("Recall at k, by rank"),
        "precision": precision.finish("Interpolated precision, by recall"),
    })
}

/// Every query that has a relevant document, with the ranks of those that the system found.
fn relevant_ranks<'a>(results: &'a Results, system: &'a SystemResults) -> Vec<(&'a JudgedQuery, &'a [usize])> {
    let hits = system.evaluation.hits.iter();
    let ranks = hits.map(|hits| hits.as_ref().map_or(&[][..], |hits| &hits.relevant_ranks));
    results.queries.iter().zip(ranks).filter(|(query, _)| query.has_relevant()).collect()
}
