//! The report for programs, as one JSON object.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::comparison::Comparison;
use crate::diagnosis::{CONTEXT_RECALL, Diagnosis, MARGIN_QUANTILES, SystemDiagnosis};
use crate::measure::RankedDocument;
use crate::results::{Results, SystemResults};

/// Writes one JSON object.
pub(super) fn write(results: &Results, diagnosis: Option<&Diagnosis>, out: &mut impl Write) -> io::Result<()> {
    let systems: Vec<Value> = results.systems.iter().map(|system| system_object(results, system)).collect();
    let mut object = json!({
        "queries": results.judged_queries,
        "evaluated_queries": results.queries.len(),
        "without_relevant": results.without_relevant,
        "primary": results.metric_name(results.primary),
        "systems": systems,
    });
    if let Some(diagnosis) = diagnosis {
        object["diagnosis"] = diagnosis_object(results, diagnosis);
    }
    serde_json::to_writer_pretty(&mut *out, &object).map_err(io::Error::from)?;
    writeln!(out)
}

fn system_object(results: &Results, system: &SystemResults) -> Value {
    let mut object = json!({
        "name": system.name,
        "missing_queries": system.missing,
        "metrics": by_metric(results, |metric| results.value(system, metric).into()),
    });
    if !system.comparisons.is_empty() {
        object["compared_with"] = results.systems[0].name.as_str().into();
        object["comparison"] = by_metric(results, |metric| comparison_object(&system.comparisons[metric]));
    }
    object
}

/// An object with one field for each metric.
fn by_metric(results: &Results, value: impl Fn(usize) -> Value) -> Value {
    let fields = (0..results.metrics.len()).map(|metric| (results.metric_name(metric), value(metric)));
    Value::Object(fields.collect::<Map<_, _>>())
}

/// An infinite t, which means that all differences are the same, becomes null, because JSON has no infinity.
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

fn diagnosis_object(results: &Results, diagnosis: &Diagnosis) -> Value {
    let ids = |queries: &[usize]| -> Value { queries.iter().map(|query| &*results.queries[*query].id).collect() };
    let pairs = results.systems.iter().zip(&diagnosis.systems);
    let systems: Vec<Value> =
        pairs.map(|(system, findings)| findings_object(results, &system.name, findings)).collect();
    let changes = results.compared().iter().zip(&diagnosis.changes).map(
        |(system, changes)| json!({ "name": system.name, "gained": ids(&changes.gained), "lost": ids(&changes.lost) }),
    );
    let terms = diagnosis.terms.iter().map(|term| {
        let values =
            results.systems.iter().zip(&term.values).map(|(system, value)| (system.name.clone(), json!(value)));
        json!({ "word": term.word, "queries": term.queries, "values": values.collect::<Map<_, _>>() })
    });
    json!({
        "k": diagnosis.k,
        "context_recall_line": CONTEXT_RECALL,
        "systems": systems,
        "moves": changes.collect::<Vec<Value>>(),
        "terms": terms.collect::<Vec<Value>>(),
    })
}

fn findings_object(results: &Results, system: &str, findings: &SystemDiagnosis) -> Value {
    let document =
        |RankedDocument { id, rank, score }: &RankedDocument| json!({ "document": id, "rank": rank, "score": score });
    let examples = findings.false_positives.iter().map(|example| {
        json!({
            "query": results.queries[example.query].id,
            "excess": example.excess(),
            "above": document(&example.irrelevant),
            "relevant": document(&example.relevant),
        })
    });
    let margins = findings.margins.as_ref().map(|margins| {
        let quantiles =
            MARGIN_QUANTILES.map(|share| (format!("p{:02}", 100.0 * share), json!(margins.quantile(share))));
        let mut object: Map<String, Value> = quantiles.into_iter().collect();
        object.insert("queries".into(), margins.sorted.len().into());
        object.insert("positive".into(), margins.positive().into());
        object
    });
    json!({
        "name": system,
        "queries": findings.queries,
        "context_recall": findings.context_recall,
        "all_irrelevant": findings.none_relevant,
        "intruded": findings.starting_irrelevant,
        "score_margins": margins,
        "examples": examples.collect::<Vec<Value>>(),
    })
}
