//! The search: the vectors of pairs, and the documents that are near them.

use std::time::{Duration, Instant};

use embtune_records::Pair;
use embtune_search::{Hit, Ranker, Searcher, Similarity, gather};
use embtune_tensors::{Embeddings, VectorsById};

use crate::corpus::Corpus;

const DOCUMENT_HINT: &str = "positive_id is the _id of the document in --texts; embed all documents that pairs name";
const QUERY_HINT: &str = "give every query an id, and embed the queries of these pairs: \
    embed --model DIR --role query --field anchor --id anchor_id pairs.jsonl -o queries.safetensors";

/// A pair with the rows of its vectors.
pub(crate) struct IndexedPair {
    pub(crate) pair: Pair,
    /// The row of the query's vector.
    pub(crate) query: usize,
    /// The row of the positive's vector.
    pub(crate) positive: usize,
}

impl IndexedPair {
    /// Finds the vectors of a pair. The error names the missing one and how to make it.
    pub(crate) fn new(pair: Pair, queries: &VectorsById<'_>, corpus: &Corpus) -> Result<Self, String> {
        let query = queries.find("anchor_id", pair.anchor_id.as_deref());
        let query = query.map_err(|what| format!("{what}\nhint: {QUERY_HINT}"))?;
        let positive = corpus.by_id.find("positive_id", pair.positive_id.as_deref());
        let positive = positive.map_err(|what| format!("{what}\nhint: {DOCUMENT_HINT}"))?;
        Ok(Self { pair, query, positive })
    }
}

/// Finds documents for queries, and measures how long that takes.
pub(crate) struct Search<'a> {
    pub(crate) queries: &'a Embeddings,
    pub(crate) searcher: Searcher,
    /// Present if every positive needs its rank, even one below the hits.
    pub(crate) ranker: Option<Ranker>,
    pub(crate) similarity: Similarity,
    pub(crate) time: Duration,
}

impl Search<'_> {
    /// The best `depth` documents of some queries.
    ///
    /// # Errors
    /// Vectors that are not finite, a device that fails.
    pub(crate) fn top_k(
        &mut self,
        queries: impl Iterator<Item = usize>,
        corpus: &Corpus,
        depth: usize,
    ) -> anyhow::Result<Vec<Vec<Hit>>> {
        let start = Instant::now();
        let hits = self.searcher.top_k(&gather(self.queries, queries)?, corpus.vectors, depth)?;
        self.time += start.elapsed();
        Ok(hits)
    }

    /// The rank of each positive for its query, if ranks are needed.
    ///
    /// # Errors
    /// Vectors that are not finite, a device that fails.
    pub(crate) fn ranks(&mut self, pairs: &[&IndexedPair], corpus: &Corpus) -> anyhow::Result<Vec<Option<usize>>> {
        let Some(ranker) = self.ranker.as_mut().filter(|_| !pairs.is_empty()) else {
            return Ok(vec![None; pairs.len()]);
        };
        let start = Instant::now();
        let queries = gather(self.queries, pairs.iter().map(|pair| pair.query))?;
        let positives: Vec<usize> = pairs.iter().map(|pair| pair.positive).collect();
        let ranks = ranker.ranks(&queries, corpus.vectors, &positives)?;
        self.time += start.elapsed();
        Ok(ranks.into_iter().map(Some).collect())
    }

    /// The score of one document, which may be below the hits.
    pub(crate) fn score(&self, query: usize, document: usize, corpus: &Corpus) -> f32 {
        let a = self.queries.rows_f32(query..query + 1);
        let b = corpus.vectors.rows_f32(document..document + 1);
        self.similarity.of(&a, &b)
    }
}
