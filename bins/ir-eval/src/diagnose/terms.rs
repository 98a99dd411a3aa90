//! Words of the queries with which a system fails.

use std::collections::{BTreeMap, HashSet};

use embtune_metrics::mean;

use crate::input::{Texts, words};
use crate::report::Report;

/// Words that are shown.
const SHOWN: usize = 10;
/// Queries that must have a word: one or two prove nothing.
const LEAST_QUERIES: usize = 3;

/// A word, and how well the systems do on the queries that have it.
#[derive(Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) word: String,
    pub(crate) queries: usize,
    /// The metric that decides, of each system, over those queries.
    pub(crate) values: Vec<f64>,
}

/// The words that cost the first system most: by how much its figure, summed over the queries with the word, stays behind
/// its mean. Words that half of the queries have, or that are `common` in the documents, say nothing about a subject.
pub(super) fn worst(report: &Report, texts: &Texts, common: &HashSet<String>) -> Vec<Term> {
    let mut queries: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, query) in report.queries.iter().enumerate() {
        let words = words(texts.get(&query.id).unwrap_or_default());
        for word in words.into_iter().filter(|word| !common.contains(word)) {
            queries.entry(word).or_default().push(index);
        }
    }
    let values = |system: usize| &report.systems[system].evaluation.values[report.primary];
    let of = |system: usize, queries: &[usize]| -> f64 {
        mean(&queries.iter().map(|query| values(system)[*query]).collect::<Vec<f64>>())
    };
    let all = mean(values(0));
    let cost = |queries: &[usize]| queries.len() as f64 * (all - of(0, queries));
    let says_something = |queries: &Vec<usize>| {
        queries.len() >= LEAST_QUERIES && 2 * queries.len() <= report.queries.len() && cost(queries) > 1e-9
    };
    let mut words: Vec<(String, Vec<usize>)> =
        queries.into_iter().filter(|(_, queries)| says_something(queries)).collect();
    // A stable sort: words of equal cost stay in their alphabetical order.
    words.sort_by(|a, b| cost(&b.1).total_cmp(&cost(&a.1)));
    words.truncate(SHOWN);
    let term = |(word, queries): (String, Vec<usize>)| Term {
        word,
        queries: queries.len(),
        values: (0..report.systems.len()).map(|system| of(system, &queries)).collect(),
    };
    words.into_iter().map(term).collect()
}
