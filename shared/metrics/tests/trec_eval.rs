//! Every metric, on every query of a random run with ties, against the values of trec_eval and, for metrics that it
//! lacks, of gdeval and ir_measures.

use std::collections::BTreeMap;

use embtune_metrics::{Metric, Ties};

const QRELS: &str = include_str!("trec_eval/qrels.txt");
const RUN: &str = include_str!("trec_eval/run.txt");
const EXPECTED: &str = include_str!("trec_eval/expected.tsv");

/// Query, then document, to the value in `column`.
fn table<T: std::str::FromStr>(text: &'static str, column: usize) -> BTreeMap<&'static str, BTreeMap<&'static str, T>> {
    let mut table: BTreeMap<_, BTreeMap<_, T>> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let value = columns[column].parse().ok().expect("a number");
        table.entry(columns[0]).or_default().insert(columns[2], value);
    }
    table
}

#[test]
fn all_metrics_equal_trec_eval() {
    let qrels = table::<i64>(QRELS, 3);
    let run = table::<f64>(RUN, 4);
    let mut ranked = BTreeMap::new();
    for (query, documents) in &run {
        let mut order: Vec<(f64, &str)> = documents.iter().map(|(id, score)| (*score, *id)).collect();
        order.sort_by(|a, b| Ties::GreaterId.order(*a, *b));
        let relevances: Vec<Option<i64>> = order.iter().map(|(_, id)| qrels[query].get(id).copied()).collect();
        let mut ideal: Vec<i64> = qrels[query].values().copied().collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        ranked.insert(*query, (relevances, ideal));
    }
    let mut checked = 0;
    for line in EXPECTED.lines() {
        let [query, metric, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let (relevances, ideal) = &ranked[query];
        let value = metric.parse::<Metric>().unwrap().value(relevances, ideal);
        let expected: f64 = expected.parse().unwrap();
        // Both sum the same doubles, perhaps in a different order; gdeval prints five digits.
        let tolerance = if metric.starts_with("err") { 5.000_001e-6 } else { 1e-12 };
        assert!((value - expected).abs() < tolerance, "{query} {metric}: {value}, the reference says {expected}");
        checked += 1;
    }
    assert_eq!(checked, 42 * (12 * 5 + 8), "queries, metrics at five cutoffs, metrics of the whole ranking");
}
