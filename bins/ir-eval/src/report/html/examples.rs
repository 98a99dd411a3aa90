//! Single queries with their texts and the documents that the systems found.

use std::collections::HashSet;

use serde::Serialize;

use super::class;
use crate::diagnosis::Diagnosis;
use crate::measure::{QueryHits, RankedDocument};
use crate::results::{Results, SystemResults};
use crate::texts::Texts;

/// How many queries of each kind are shown.
const MAX_EXAMPLES: usize = 5;
/// How many characters of a text are shown.
const MAX_CHARACTERS: usize = 220;

/// The texts that a page shows.
pub(super) struct PageTexts<'a> {
    pub(super) queries: &'a Texts,
    pub(super) corpus: &'a Texts,
}

/// The queries, by index, that are shown.
pub(super) struct Examples {
    /// Those that gained most; of a single system, its best ones.
    best: Vec<usize>,
    /// Those that lost most; of a single system, its worst ones.
    worst: Vec<usize>,
}

impl Examples {
    /// Picks queries by the primary metric, comparing the last system with the first, or the only one with 0.5.
    pub(super) fn pick(results: &Results) -> Self {
        let values = |system: &SystemResults| system.evaluation.values[results.primary].clone();
        let (first, last) = (&results.systems[0], &results.systems[results.systems.len() - 1]);
        let base = if results.systems.len() == 1 { vec![0.5; results.queries.len()] } else { values(first) };
        let changes: Vec<f64> = values(last).iter().zip(base).map(|(last, first)| last - first).collect();
        let mut order: Vec<usize> = (0..changes.len()).collect();
        order.sort_by(|a, b| changes[*b].total_cmp(&changes[*a]));
        let best = order.iter().copied().filter(|query| changes[*query] > 1e-9).take(MAX_EXAMPLES).collect();
        let worst = order.iter().rev().copied().filter(|query| changes[*query] < -1e-9).take(MAX_EXAMPLES).collect();
        Self { best, worst }
    }

    /// The ids of the documents that the page shows, those of the diagnosis included.
    pub(super) fn documents<'a>(&self, results: &'a Results, diagnosis: &Diagnosis) -> HashSet<&'a str> {
        let diagnosed = diagnosis.systems.iter().flat_map(|findings| &findings.false_positives);
        let queries = self.best.iter().chain(&self.worst).copied().chain(diagnosed.map(|example| example.query));
        let of_query =
            |query: usize| results.systems.iter().filter_map(move |system| system.evaluation.hits[query].as_ref());
        let of_hits =
            |hits: &'a QueryHits| hits.best_relevant.iter().chain(&hits.best_irrelevant).map(|document| &*document.id);
        queries.flat_map(of_query).flat_map(of_hits).collect()
    }

    /// The section: the queries under their titles.
    pub(super) fn groups(&self, results: &Results, texts: &PageTexts<'_>) -> Vec<Group> {
        let last = results.systems.len() - 1;
        let (systems, titles) =
            if last == 0 { (vec![0], ["Best", "Worst"]) } else { (vec![0, last], ["Gained most", "Lost most"]) };
        let groups = titles.into_iter().zip([&self.best, &self.worst]).filter(|(_, queries)| !queries.is_empty());
        groups
            .map(|(title, queries)| Group {
                title,
                stories: queries.iter().map(|query| Example::new(results, *query, &systems, texts)).collect(),
            })
            .collect()
    }
}

/// Queries with a title.
#[derive(Serialize)]
pub(super) struct Group {
    title: &'static str,
    stories: Vec<Example>,
}

/// A query, and the documents that the systems found.
#[derive(Serialize)]
pub(super) struct Example {
    id: String,
    text: Option<String>,
    systems: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    name: String,
    class: String,
    value: String,
    relevant: Option<Document>,
    /// The document at rank 1, if it is not relevant.
    top: Option<Document>,
}

#[derive(Serialize)]
struct Document {
    id: String,
    rank: usize,
    score: String,
    text: Option<String>,
}

impl Example {
    pub(super) fn new(results: &Results, query: usize, systems: &[usize], texts: &PageTexts<'_>) -> Self {
        let id = &results.queries[query].id;
        let found = |index: &usize| {
            let system = &results.systems[*index];
            let hits = system.evaluation.hits[query].as_ref();
            let document = |document: &RankedDocument| Document {
                id: document.id.clone(),
                rank: document.rank,
                score: format!("{:.4}", document.score),
                text: texts.corpus.get(&document.id).map(shorten),
            };
            Found {
                name: system.name.clone(),
                class: class(*index),
                value: format!("{:.4}", system.evaluation.values[results.primary][query]),
                relevant: hits.and_then(|hits| hits.best_relevant.as_ref()).map(document),
                top: hits.and_then(|hits| hits.best_irrelevant.as_ref()).filter(|top| top.rank == 1).map(document),
            }
        };
        Self { id: id.clone(), text: texts.queries.get(id).map(shorten), systems: systems.iter().map(found).collect() }
    }
}

/// The beginning of a text, on one line.
fn shorten(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<&str>>().join(" ");
    if words.chars().count() <= MAX_CHARACTERS {
        words
    } else {
        words.chars().take(MAX_CHARACTERS).chain(['…']).collect()
    }
}
