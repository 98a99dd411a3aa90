//! Checks that the files of a system belong together, and to the judgments.

use std::collections::{HashMap, HashSet};

use anyhow::{bail, ensure};
use embtune_records::{Judgments, Run};
use embtune_tensors::Embeddings;

/// The queries of the judgments that have a vector, each with the index of its vector.
pub(super) fn judged_rows<'a>(
    queries: &Embeddings,
    corpus: &Embeddings,
    judgments: &'a Judgments,
) -> anyhow::Result<Vec<(&'a str, usize)>> {
    let index: HashMap<&str, usize> = queries.ids().zip(0..).collect();
    let rows: Vec<_> = judgments.ids().filter_map(|id| Some((id, *index.get(id)?))).collect();
    if rows.is_empty() {
        let wanted: HashSet<&str> = judgments.ids().collect();
        let hint = match corpus.ids().any(|id| wanted.contains(id)) {
            true => "hint: a system is NAME=QUERIES,CORPUS: the file of queries comes first",
            false => mismatch_hint(queries.ids(), &wanted),
        };
        bail!("{}: contains no query of the judgments\n{hint}", queries.name());
    }
    Ok(rows)
}

/// Refuses full vectors that do not belong to the same documents in the same order.
pub(super) fn check_same_documents(corpus: &Embeddings, full: &Embeddings) -> anyhow::Result<()> {
    let (a, b) = (corpus.name(), full.name());
    ensure!(corpus.len() == full.len(), "{a} has {} vectors, {b} has {}", corpus.len(), full.len());
    if let Some(row) = (0..corpus.len()).find(|row| corpus.id(*row) != full.id(*row)) {
        bail!("{a} and {b} differ in the id of vector {row}: \"{}\" and \"{}\"", corpus.id(row), full.id(row));
    }
    Ok(())
}

/// Refuses a run without a query of the judgments.
pub(super) fn check_run(name: &str, run: &Run, judgments: &Judgments) -> anyhow::Result<()> {
    if judgments.ids().any(|id| run.queries.contains_key(id)) {
        return Ok(());
    }
    ensure!(!run.queries.is_empty(), "{name}: empty; expected a run");
    let wanted = judgments.ids().collect();
    let hint = mismatch_hint(run.queries.keys().map(String::as_str), &wanted);
    bail!("{name}: contains no query of the judgments\n{hint}");
}

/// The likely reason why no id matches.
fn mismatch_hint<'a>(mut ids: impl Iterator<Item = &'a str>, wanted: &HashSet<&str>) -> &'static str {
    let numbers: HashSet<&str> = wanted.iter().filter_map(|id| id.strip_suffix(".0")).collect();
    let is_float = |id: &str| id.strip_suffix(".0").is_some_and(|id| wanted.contains(id)) || numbers.contains(id);
    if ids.any(is_float) {
        return "hint: one file has ids such as 7.0, written as floating-point numbers, where the other has 7";
    }
    "hint: both files must use the same ids"
}
