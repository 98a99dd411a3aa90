//! The report for programs, as one JSON object.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Measured, Report};
use crate::compare::Comparison;
use crate::diagnose::{CONTEXT_RECALL, Diagnosis, Findings, Moves};

/// Quantiles of the score margins.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Writes one JSON object.
pub(super) fn write(report: &Report, diagnosis: Option<&Diagnosis>, out: &mut impl Write) -> io::Result<()> {
    let systems: Vec<Value> = report.systems.iter().map(|system| system_object(report, system)).collect();
    let mut object = json!({
        "queries": report.in_file,
        "evaluated_queries": report.queries.len(),
        "without_relevant": report.without_relevant,
        "primary": report.name(report.primary),
        "systems": systems,
    });
    if let Some(diagnosis) = diagnosis {
        object["diagnosis"] = diagnosis_object(report, diagnosis);
    }
    serde_json::to_writer_pretty(&mut *out, &object).map_err(io::Error::from)?;
    writeln!(out)
}

fn system_object(report: &Report, system: &Measured) -> Value {
    let mut object = json!({
        "name": system.name,
        "missing_queries": system.missing,
        "metrics": by_metric(report, |metric| report.value(system, metric).into()),
    });
    if !system.comparisons.is_empty() {
        object["compared_with"] = report.systems[0].name.as_str().into();
        object["comparison"] = by_metric(report, |metric| comparison_object(&system.comparisons[metric]));
    }
    object
}

/// An object that has one field for each metric.
fn by_metric(report: &Report, value: impl Fn(usize) -> Value) -> Value {
    let fields = (0..report.metrics.len()).map(|metric| (report.name(metric), value(metric)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// An infinite t (all differences are the same) becomes null: JSON has no infinity.
fn comparison_object(comparison: &Comparison) -> Value {
    json!({
        "difference": comparison.difference,
        "ci95": [comparison.interval.low, comparison.interval.high],
        "p": comparison.randomisation.p,
        "p_exact": comparison.randomisation.exact,
        "p_holm": comparison.holm,
        "t": comparison.t_test.map(|test| test.t),
        "t_p": comparison.t_test.map(|test| test.p),
        "wilcoxon_w": comparison.wilcoxon.w,
        "wilcoxon_p": comparison.wilcoxon.p,
        "effect_size": comparison.effect_size,
        "wins": comparison.tally.wins,
        "ties": comparison.tally.ties,
        "losses": comparison.tally.losses,
        "significant": comparison.is_significant(),
    })
}

fn diagnosis_object(report: &Report, diagnosis: &Diagnosis) -> Value {
    let ids = |queries: &[usize]| -> Value { queries.iter().map(|query| &*report.queries[*query].id).collect() };
    let findings: Vec<Value> =
        report.systems.iter().zip(&diagnosis.findings).map(|pair| findings_object(report, pair)).collect();
    let moves = report.compared().iter().zip(&diagnosis.moves).map(
        |(system, Moves { gained, lost })| json!({ "name": system.name, "gained": ids(gained), "lost": ids(lost) }),
    );
    let terms = diagnosis.terms.iter().map(|term| {
        let values = report.systems.iter().zip(&term.values).map(|(system, value)| (system.name.clone(), json!(value)));
        json!({ "word": term.word, "queries": term.queries, "values": values.collect::<Map<_, _>>() })
    });
    json!({
        "k": diagnosis.k,
        "context_recall_line": CONTEXT_RECALL,
        "systems": findings,
        "moves": moves.collect::<Vec<Value>>(),
        "terms": terms.collect::<Vec<Value>>(),
    })
}

fn findings_object(report: &Report, (system, findings): (&Measured, &Findings)) -> Value {
    let examples = findings.examples.iter().map(|intrusion| {
        let hits = system.evaluation.hits[intrusion.query].as_ref();
        let placed = |placed: Option<&crate::measure::Placed>| {
            placed.map(|placed| json!({ "document": placed.document, "rank": placed.rank, "score": placed.score }))
        };
        json!({
            "query": report.queries[intrusion.query].id,
            "excess": intrusion.excess,
            "above": placed(hits.and_then(|hits| hits.other.as_ref())),
            "relevant": placed(hits.and_then(|hits| hits.relevant.as_ref())),
        })
    });
    let margins = findings.margins.as_ref().map(|margins| {
        let quantiles = QUANTILES.map(|share| (format!("p{:02}", 100.0 * share), json!(margins.quantile(share))));
        let mut object: Map<String, Value> = quantiles.into_iter().collect();
        object.insert("queries".into(), margins.sorted.len().into());
        object.insert("positive".into(), margins.positive().into());
        object
    });
    json!({
        "name": system.name,
        "queries": findings.queries,
        "context_recall": findings.context_recall,
        "all_irrelevant": findings.all_irrelevant,
        "intruded": findings.intruded,
        "score_margins": margins,
        "examples": examples.collect::<Vec<Value>>(),
    })
}
