//! The search, with its time.

use std::time::{Duration, Instant};

use embtune_search::{Hit, Ranker, Searcher, Similarity, gather};
use embtune_tensors::Embeddings;

use crate::corpus::Corpus;

/// Finds documents for queries, and knows how long it took.
pub(crate) struct Search<'a> {
    pub(crate) queries: &'a Embeddings,
    pub(crate) searcher: Searcher,
    /// Where every positive gets its rank, also one below the hits.
    pub(crate) ranker: Option<Ranker>,
    pub(crate) similarity: Similarity,
    pub(crate) time: Duration,
}

impl Search<'_> {
    /// The `depth` best documents of some queries.
    ///
    /// # Errors
    /// Vectors that are not finite, a device that fails.
    pub(crate) fn top_k(
        &mut self,
        queries: impl Iterator<Item = usize>,
        corpus: &Corpus,
        depth: usize,
    ) -> anyhow::Result<Vec<Vec<Hit>>> {
        let began = Instant::now();
        let hits = self.searcher.top_k(&gather(self.queries, queries)?, corpus.vectors, depth)?;
        self.time += began.elapsed();
        Ok(hits)
    }

    /// The ranks of documents, each for its query, where they are asked for.
    ///
    /// # Errors
    /// Vectors that are not finite, a device that fails.
    pub(crate) fn ranks(&mut self, pairs: &[(usize, usize)], corpus: &Corpus) -> anyhow::Result<Vec<Option<usize>>> {
        let Some(ranker) = self.ranker.as_mut().filter(|_| !pairs.is_empty()) else {
            return Ok(vec![None; pairs.len()]);
        };
        let began = Instant::now();
        let queries = gather(self.queries, pairs.iter().map(|(query, _)| *query))?;
        let documents: Vec<usize> = pairs.iter().map(|(_, document)| *document).collect();
        let ranks = ranker.ranks(&queries, corpus.vectors, &documents)?;
        self.time += began.elapsed();
        Ok(ranks.into_iter().map(Some).collect())
    }

    /// The score of one document, which may be below the hits.
    pub(crate) fn score(&self, query: usize, document: usize, corpus: &Corpus) -> f32 {
        let a = self.queries.rows_f32(query..query + 1);
        let b = corpus.vectors.rows_f32(document..document + 1);
        self.similarity.of(&a, &b)
    }
}
