//! Single queries with their texts and the documents that the systems found.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::class;
use crate::diagnosis::Diagnosis;
use crate::measure::{QueryHits, RankedDocument};
use crate::results::{Results, SystemResults};
use crate::texts::{self, Texts};

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
///
/// The first are those that gained most, or the best ones of a single system; the second those that lost most, or its
/// worst ones.
pub(super) struct Examples([Vec<usize>; 2]);

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
        Self([best, worst])
    }

    /// The ids of the documents that the page shows, those of the diagnosis included.
    pub(super) fn documents<'a>(&self, results: &'a Results, diagnosis: &Diagnosis) -> HashSet<&'a str> {
        let diagnosed = diagnosis.systems.iter().flat_map(|findings| &findings.false_positives);
        let queries = self.0.iter().flatten().copied().chain(diagnosed.map(|example| example.query));
        let of_query =
            |query: usize| results.systems.iter().filter_map(move |system| system.evaluation.hits[query].as_ref());
        let of_hits =
            |hits: &'a QueryHits| hits.best_relevant.iter().chain(&hits.best_irrelevant).map(|document| &*document.id);
        queries.flat_map(of_query).flat_map(of_hits).collect()
    }

    /// The section: the queries under their titles.
    pub(super) fn groups(&self, results: &Results, texts: &PageTexts<'_>) -> Value {
        let last = results.systems.len() - 1;
        let (systems, titles) =
            if last == 0 { (vec![0], ["Best", "Worst"]) } else { (vec![0, last], ["Gained most", "Lost most"]) };
        let groups = titles.into_iter().zip(&self.0).filter(|(_, queries)| !queries.is_empty());
        let group = |(title, queries): (&str, &Vec<usize>)| {
            let stories: Value = queries.iter().map(|query| example(results, *query, &systems, texts)).collect();
            json!({ "title": title, "stories": stories })
        };
        groups.map(group).collect()
    }
}

/// A query, and what the systems found: the best relevant document, and the one at rank 1 if it is not relevant.
pub(super) fn example(results: &Results, query: usize, systems: &[usize], texts: &PageTexts<'_>) -> Value {
    let id = &results.queries[query].id;
    let document = |document: &RankedDocument| {
        let text = texts.corpus.get(&document.id).map(shorten);
        json!({ "id": document.id, "rank": document.rank, "score": format!("{:.4}", document.score), "text": text })
    };
    let found = |index: &usize| {
        let system = &results.systems[*index];
        let hits = system.evaluation.hits[query].as_ref();
        json!({
            "name": system.name,
            "class": class(*index),
            "value": format!("{:.4}", system.evaluation.values[results.primary][query]),
            "relevant": hits.and_then(|hits| hits.best_relevant.as_ref()).map(document),
            "top": hits.and_then(|hits| hits.best_irrelevant.as_ref()).filter(|top| top.rank == 1).map(document),
        })
    };
    let systems: Value = systems.iter().map(found).collect();
    json!({ "id": id, "text": texts.queries.get(id).map(shorten), "systems": systems })
}

fn shorten(text: &str) -> String {
    texts::shorten(text, MAX_CHARACTERS, "…")
}
