//! The words of the queries on which a system does worst.

use std::collections::{BTreeMap, HashSet};

use embtune_metrics::mean;

use crate::results::Results;
use crate::texts::{Texts, words};

/// How many words are shown.
const MAX_TERMS: usize = 10;
/// How many queries must have a word, because one or two prove nothing.
const MIN_QUERIES: usize = 3;

/// A word, and how well the systems do on the queries with it.
#[derive(Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) word: String,
    pub(crate) queries: usize,
    /// Each system's mean of the primary metric over those queries.
    pub(crate) values: Vec<f64>,
}

/// The words that cost the first system most: over the queries with a word, how far its values sum up to less than its
/// mean. Words that are in more than half of the queries, or `common` in the documents, do not characterise a subject.
pub(super) fn worst(results: &Results, texts: &Texts, common: &HashSet<String>) -> Vec<Term> {
    let mut queries: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, query) in results.queries.iter().enumerate() {
        let words = words(texts.get(&query.id).unwrap_or_default());
        for word in words.into_iter().filter(|word| !common.contains(word)) {
            queries.entry(word).or_default().push(index);
        }
    }
    let values = |system: usize| &results.systems[system].evaluation.values[results.primary];
    let of = |system: usize, queries: &[usize]| -> f64 {
        mean(&queries.iter().map(|query| values(system)[*query]).collect::<Vec<f64>>())
    };
    let all = mean(values(0));
    let cost = |queries: &[usize]| queries.len() as f64 * (all - of(0, queries));
    let is_telling = |queries: &Vec<usize>| {
        queries.len() >= MIN_QUERIES && 2 * queries.len() <= results.queries.len() && cost(queries) > 1e-9
    };
    let mut words: Vec<(String, Vec<usize>)> = queries.into_iter().filter(|(_, queries)| is_telling(queries)).collect();
    // The sort is stable: words of equal cost stay in alphabetical order.
    words.sort_by(|a, b| cost(&b.1).total_cmp(&cost(&a.1)));
    words.truncate(MAX_TERMS);
    let term = |(word, queries): (String, Vec<usize>)| Term {
        word,
        queries: queries.len(),
        values: (0..results.systems.len()).map(|system| of(system, &queries)).collect(),
    };
    words.into_iter().map(term).collect()
}
