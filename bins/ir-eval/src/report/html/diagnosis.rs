//! The section that shows whether fine-tuning is needed, and where.

use serde::Serialize;

use super::examples::{Example, PageTexts};
use super::metrics::{Axis, Track};
use super::{class, signed};
use crate::diagnosis::{CONTEXT_RECALL, Diagnosis, MARGIN_QUANTILES, SystemDiagnosis};
use crate::results::Results;

/// The section.
#[derive(Serialize)]
pub(super) struct Section {
    k: usize,
    line: f64,
    systems: Vec<System>,
    /// Whether any system has score margins.
    has_margins: bool,
    moves: Vec<Changes>,
    terms: Vec<Word>,
    examples: Vec<Example>,
}

#[derive(Serialize)]
struct System {
    name: String,
    class: String,
    recall: String,
    recall_width: String,
    all_irrelevant: Share,
    intruded: Share,
    margin: Option<Margin>,
}

#[derive(Serialize)]
struct Share {
    count: usize,
    percent: String,
}

#[derive(Serialize)]
struct Margin {
    /// From the 5th to the 95th percentile.
    outer: Track,
    /// The middle half.
    inner: Track,
    median: String,
}

#[derive(Serialize)]
struct Changes {
    name: String,
    gained: usize,
    lost: usize,
}

#[derive(Serialize)]
struct Word {
    word: String,
    queries: usize,
    values: Vec<String>,
}

impl Section {
    pub(super) fn new(results: &Results, diagnosis: &Diagnosis, texts: &PageTexts<'_>) -> Self {
        let margins = || diagnosis.systems.iter().filter_map(|findings| findings.margins.as_ref());
        let axis = Axis::containing(margins().flat_map(|margins| [margins.quantile(0.05), margins.quantile(0.95)]));
        let systems = results.systems.iter().zip(&diagnosis.systems).enumerate();
        let changes = results.compared().iter().zip(&diagnosis.changes);
        // The examples are those of the last system, because its failures are the ones that remain.
        let last = results.systems.len() - 1;
        let examples = diagnosis.systems[last].false_positives.iter();
        Self {
            k: diagnosis.k,
            line: CONTEXT_RECALL,
            has_margins: margins().next().is_some(),
            systems: systems
                .map(|(index, (system, findings))| System::new(index, &system.name, findings, axis))
                .collect(),
            moves: changes
                .map(|(system, changes)| Changes {
                    name: system.name.clone(),
                    gained: changes.gained.len(),
                    lost: changes.lost.len(),
                })
                .collect(),
            terms: diagnosis
                .terms
                .iter()
                .map(|term| Word {
                    word: term.word.clone(),
                    queries: term.queries,
                    values: term.values.iter().map(|value| format!("{value:.3}")).collect(),
                })
                .collect(),
            examples: examples.map(|example| Example::new(results, example.query, &[last], texts)).collect(),
        }
    }
}

impl System {
    fn new(index: usize, name: &str, findings: &SystemDiagnosis, axis: Axis) -> Self {
        let share = |count: usize| Share {
            count,
            percent: format!("{:.1}", 100.0 * count as f64 / findings.queries.max(1) as f64),
        };
        Self {
            name: name.to_owned(),
            class: class(index),
            recall: format!("{:.4}", findings.context_recall),
            recall_width: format!("{:.2}%", 100.0 * findings.context_recall),
            all_irrelevant: share(findings.none_relevant),
            intruded: share(findings.starting_irrelevant),
            margin: findings.margins.as_ref().map(|margins| {
                let [low, first_quartile, median, third_quartile, high] =
                    MARGIN_QUANTILES.map(|share| margins.quantile(share));
                Margin {
                    outer: axis.track((low, high), median),
                    inner: axis.track((first_quartile, third_quartile), median),
                    median: signed(median),
                }
            }),
        }
    }
}
