//! The best hits of one query so far.

use std::cmp::Ordering;

use embtune_tensors::Embeddings;

/// A corpus vector with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Row of the corpus file.
    pub index: usize,
    /// Similarity to the query.
    pub score: f32,
}

/// Falling by score, then by id, as trec_eval orders ties: the result does not depend on the order of the corpus.
fn order(corpus: &Embeddings, a: &Hit, b: &Hit) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| corpus.id(b.index).cmp(corpus.id(a.index)))
}

/// Adds a block's hits and keeps the best `k`.
pub(crate) fn merge(best: &mut Vec<Hit>, block: impl Iterator<Item = Hit>, k: usize, corpus: &Embeddings) {
    best.extend(block);
    best.sort_by(|a, b| order(corpus, a, b));
    best.truncate(k);
}
