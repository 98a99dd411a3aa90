//! Single queries with their texts.

use std::collections::HashSet;

use serde::Serialize;

use super::super::{Measured, Report};
use super::class;
use crate::diagnose::Diagnosis;
use crate::input::Texts;
use crate::measure::{Hits, Placed};

/// Queries of each kind.
const SHOWN: usize = 5;
/// Characters of a document that are shown.
const EXCERPT: usize = 220;

/// The texts that a page shows.
pub(super) struct Shown<'a> {
    pub(super) queries: &'a Texts,
    pub(super) corpus: &'a Texts,
}

/// Queries, by index, that are told of.
pub(super) struct Stories {
    /// What became better, most first; of a single system, where it is best.
    best: Vec<usize>,
    /// What became worse, most first; of a single system, where it is worst.
    worst: Vec<usize>,
}

/// Picks queries by the metric that decides: of the last system against the first, or of the only one.
pub(super) fn pick(report: &Report) -> Stories {
    let values = |system: &Measured| system.evaluation.values[report.primary].clone();
    let (first, last) = (&report.systems[0], &report.systems[report.systems.len() - 1]);
    let is_alone = report.systems.len() == 1;
    let base = if is_alone { vec![0.5; report.queries.len()] } else { values(first) };
    let changes: Vec<f64> = values(last).iter().zip(base).map(|(last, first)| last - first).collect();
    let mut order: Vec<usize> = (0..changes.len()).collect();
    order.sort_by(|a, b| changes[*b].total_cmp(&changes[*a]));
    let best = order.iter().copied().filter(|query| changes[*query] > 1e-9).take(SHOWN).collect();
    let worst = order.iter().rev().copied().filter(|query| changes[*query] < -1e-9).take(SHOWN).collect();
    Stories { best, worst }
}

/// A query, and what the systems found.
#[derive(Serialize)]
pub(super) struct Story {
    id: String,
    text: Option<String>,
    systems: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    name: String,
    class: String,
    value: String,
    relevant: Option<Document>,
    /// The document on top, when it is not relevant.
    top: Option<Document>,
}

#[derive(Serialize)]
struct Document {
    id: String,
    rank: usize,
    score: String,
    text: Option<String>,
}

/// The section: kinds of queries with their titles.
#[derive(Serialize)]
pub(super) struct Kind {
    title: &'static str,
    stories: Vec<Story>,
}

pub(super) fn section(report: &Report, stories: &Stories, texts: &Shown<'_>) -> Vec<Kind> {
    let systems: Vec<usize> = if report.systems.len() == 1 { vec![0] } else { vec![0, report.systems.len() - 1] };
    let titles = if systems.len() == 1 { ["Best", "Worst"] } else { ["Gained most", "Lost most"] };
    let tell = |queries: &[usize]| queries.iter().map(|query| story(report, *query, &systems, texts)).collect();
    let kinds = titles.into_iter().zip([&stories.best, &stories.worst]);
    kinds
        .filter(|(_, queries)| !queries.is_empty())
        .map(|(title, queries)| Kind { title, stories: tell(queries) })
        .collect()
}

pub(super) fn story(report: &Report, query: usize, systems: &[usize], texts: &Shown<'_>) -> Story {
    let id = &report.queries[query].id;
    let told = |index: &usize| {
        let system = &report.systems[*index];
        let hits = system.evaluation.hits[query].as_ref();
        let document = |placed: &Placed| Document {
            id: placed.document.clone(),
            rank: placed.rank,
            score: format!("{:.4}", placed.score),
            text: texts.corpus.get(&placed.document).map(excerpt),
        };
        Told {
            name: system.name.clone(),
            class: class(*index),
            value: format!("{:.4}", system.evaluation.values[report.primary][query]),
            relevant: hits.and_then(|hits| hits.relevant.as_ref()).map(document),
            top: hits.and_then(|hits| hits.other.as_ref()).filter(|other| other.rank == 1).map(document),
        }
    };
    Story { id: id.clone(), text: texts.queries.get(id).map(excerpt), systems: systems.iter().map(told).collect() }
}

/// Ids of the documents that the page shows.
pub(super) fn documents<'a>(report: &'a Report, stories: &Stories, diagnosis: &Diagnosis) -> HashSet<&'a str> {
    let examples = diagnosis.findings.iter().flat_map(|findings| &findings.examples).map(|example| example.query);
    let queries = stories.best.iter().chain(&stories.worst).copied().chain(examples);
    let of_query =
        |query: usize| report.systems.iter().filter_map(move |system| system.evaluation.hits[query].as_ref());
    let of_hits = |hits: &'a Hits| hits.relevant.iter().chain(&hits.other).map(|placed| &*placed.document);
    queries.flat_map(of_query).flat_map(of_hits).collect()
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    if words.chars().count() <= EXCERPT { words } else { words.chars().take(EXCERPT).chain(['…']).collect() }
}
