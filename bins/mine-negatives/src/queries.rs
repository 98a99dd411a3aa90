//! From a pair to the vectors that it names.

use std::collections::HashMap;

use embtune_records::Pair;
use embtune_tensors::Embeddings;

use crate::corpus::Corpus;

/// The rows of a pair in the two files of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) query: usize,
    pub(crate) positive: usize,
}

/// The vectors of the queries, by id.
pub(crate) struct Queries<'a> {
    pub(crate) vectors: &'a Embeddings,
    rows: HashMap<&'a str, usize>,
}

impl<'a> Queries<'a> {
    pub(crate) fn new(vectors: &'a Embeddings) -> Self {
        Self { vectors, rows: vectors.ids().zip(0..).collect() }
    }

    /// Finds the vectors of a pair, or says what is missing and how to make it.
    pub(crate) fn find(&self, pair: &Pair, corpus: &Corpus) -> Result<Rows, String> {
        let (queries, documents) = (self.vectors.name(), corpus.vectors.name());
        let anchor_id = pair.anchor_id.as_deref().ok_or_else(|| {
            format!("no field \"anchor_id\": it names the query's vector in {queries}\nhint: give every query an id, and {EMBED}")
        })?;
        let positive_id = pair.positive_id.as_deref().ok_or_else(|| {
            format!("no field \"positive_id\": it names the document's vector in {documents}\nhint: it is the _id of the document in --texts")
        })?;
        let query = self.rows.get(anchor_id).copied();
        let query = query.ok_or_else(|| format!("no vector of query \"{anchor_id}\" in {queries}\nhint: {EMBED}"))?;
        let positive = corpus.row(positive_id).ok_or_else(|| {
            format!("no vector of document \"{positive_id}\" in {documents}\nhint: embed all documents that pairs name")
        })?;
        Ok(Rows { query, positive })
    }
}

const EMBED: &str = "embed the queries of these pairs:\n      \
    jq -c '{_id: .anchor_id, text: .anchor}' pairs.jsonl | embed --model DIR --role query -o queries.safetensors";
