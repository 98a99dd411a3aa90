//! From a pair to the vectors that it names.

use embtune_records::Pair;
use embtune_tensors::{Embeddings, VectorsById};

use crate::corpus::Corpus;

/// The rows of a pair in the two files of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) query: usize,
    pub(crate) positive: usize,
}

/// The vectors of the queries, by id.
pub(crate) struct Queries<'a> {
    by_id: VectorsById<'a>,
}

impl<'a> Queries<'a> {
    pub(crate) fn new(vectors: &'a Embeddings) -> Self {
        Self { by_id: VectorsById::new(vectors, "query") }
    }

    /// Finds the vectors of a pair, or says what is missing and how to make it.
    pub(crate) fn find(&self, pair: &Pair, corpus: &Corpus) -> Result<Rows, String> {
        let query = self.by_id.find("anchor_id", pair.anchor_id.as_deref());
        let query = query.map_err(|what| format!("{what}\nhint: give every query an id, and {EMBED}"))?;
        let positive = corpus.by_id.find("positive_id", pair.positive_id.as_deref());
        let positive = positive.map_err(|what| format!("{what}\nhint: {DOCUMENTS}"))?;
        Ok(Rows { query, positive })
    }
}

const DOCUMENTS: &str = "positive_id is the _id of the document in --texts; embed all documents that pairs name";
const EMBED: &str = "embed the queries of these pairs:\n      \
    embed --model DIR --role query --field anchor --id anchor_id pairs.jsonl -o queries.safetensors";
