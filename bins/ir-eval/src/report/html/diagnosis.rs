//! The section that shows whether fine-tuning is needed, and where.

use serde_json::{Value, json};

use super::examples::{PageTexts, example};
use super::metrics::Axis;
use super::{class, signed};
use crate::diagnosis::{CONTEXT_RECALL, Diagnosis, MARGIN_QUANTILES, SystemDiagnosis};
use crate::results::Results;

pub(super) fn section(results: &Results, diagnosis: &Diagnosis, texts: &PageTexts<'_>) -> Value {
    let margins = || diagnosis.systems.iter().filter_map(|findings| findings.margins.as_ref());
    let axis = Axis::containing(margins().flat_map(|margins| [margins.quantile(0.05), margins.quantile(0.95)]));
    let systems = results.systems.iter().zip(&diagnosis.systems).enumerate();
    let systems = systems.map(|(index, (system, findings))| card(index, &system.name, findings, axis));
    let changes = results.compared().iter().zip(&diagnosis.changes).map(
        |(system, changes)| json!({ "name": system.name, "gained": changes.gained.len(), "lost": changes.lost.len() }),
    );
    let terms = diagnosis.terms.iter().map(|term| {
        let values: Vec<String> = term.values.iter().map(|value| format!("{value:.3}")).collect();
        json!({ "word": term.word, "queries": term.queries, "values": values })
    });
    // The examples are those of the last system: what is still wrong.
    let last = results.systems.len() - 1;
    let examples = diagnosis.systems[last].false_positives.iter();
    let examples = examples.map(|found| example(results, found.query, &[last], texts));
    json!({
        "k": diagnosis.k,
        "line": CONTEXT_RECALL,
        "has_margins": margins().next().is_some(),
        "systems": systems.collect::<Value>(),
        "moves": changes.collect::<Value>(),
        "terms": terms.collect::<Value>(),
        "examples": examples.collect::<Value>(),
    })
}

/// What is shown of a system.
fn card(index: usize, name: &str, findings: &SystemDiagnosis, axis: Axis) -> Value {
    let share = |count: usize| json!({ "count": count, "percent": format!("{:.1}", findings.percent(count)) });
    let margin = findings.margins.as_ref().map(|margins| {
        let [low, first_quartile, median, third_quartile, high] = MARGIN_QUANTILES.map(|share| margins.quantile(share));
        json!({
            "outer": axis.track((low, high), median),
            "inner": axis.track((first_quartile, third_quartile), median),
            "median": signed(median),
        })
    });
    json!({
        "name": name,
        "class": class(index),
        "recall": format!("{:.4}", findings.context_recall),
        "recall_width": format!("{:.2}%", 100.0 * findings.context_recall),
        "all_irrelevant": share(findings.none_relevant),
        "intruded": share(findings.starting_irrelevant),
        "margin": margin,
    })
}
