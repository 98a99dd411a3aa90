//! Examples of queries as they should be.

use embtune_cli::Input;
use embtune_records::{Pair, Records};
use serde::Serialize;

/// Examples that a prompt has room for; Promptagator (<https://arxiv.org/abs/2209.11755>) takes at most 8.
const MOST: usize = 20;

/// A document with good queries for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Example {
    pub(super) text: String,
    pub(super) queries: Vec<String>,
}

/// Reads pairs; those of the same document are one example.
///
/// # Errors
/// A file that cannot be read or holds something else, no example in it, or too many.
pub(crate) fn read(input: Input) -> anyhow::Result<Vec<Example>> {
    let name = input.name.clone();
    let mut examples: Vec<Example> = Vec::new();
    for pairs in Records::<Vec<Pair>, _>::with_default_limit(name.clone(), input) {
        for Pair { anchor, positive, .. } in pairs? {
            match examples.iter_mut().find(|example| example.text == positive) {
                Some(example) => example.queries.push(anchor),
                None => examples.push(Example { text: positive, queries: vec![anchor] }),
            }
        }
    }
    anyhow::ensure!(!examples.is_empty(), "{name}: no example");
    let count = examples.len();
    anyhow::ensure!(
        count <= MOST,
        "{name}: {count} documents\nhint: each is sent with every request; {MOST} are the most"
    );
    Ok(examples)
}
