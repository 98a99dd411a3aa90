//! Where a document stands among all others.

use std::ops::Range;
use std::path::Path;

use embtune_cli::Device;
use embtune_metrics::trec_order;
use embtune_ort_engine::{EngineError, Output};
use embtune_tensors::Embeddings;
use rayon::prelude::*;

use crate::product::Product;
use crate::rows::{Form, QUERY_BLOCK, blocks};
use crate::{SearchError, Similarity};

/// Counts the documents that stand before a given one: for ranks that are too deep for a list of hits.
pub struct Ranker {
    product: Product,
    similarity: Similarity,
}

impl Ranker {
    /// Loads ONNX Runtime.
    ///
    /// # Errors
    /// No library, or a device that cannot run.
    pub fn new(
        device: Device,
        threads: usize,
        similarity: Similarity,
        ort_library: Option<&Path>,
    ) -> Result<Self, SearchError> {
        Ok(Self { product: Product::new(device, threads, ort_library, embtune_onnx::products)?, similarity })
    }

    /// The rank, from 1, that one document has for each query, in the order of [`crate::Searcher::top_k`].
    ///
    /// Costs one pass over the corpus. Memory: a block of vectors and a block of scores.
    ///
    /// # Shapes
    /// - `queries`: `[documents.len(), dim]`, finite
    /// - `documents`: rows of the corpus
    ///
    /// # Errors
    /// Corpus vectors that are not finite, a device that fails.
    ///
    /// # Panics
    /// When there are not as many queries as documents, or a row is past the last document.
    pub fn ranks(
        &mut self,
        queries: &[f32],
        corpus: &Embeddings,
        documents: &[usize],
    ) -> Result<Vec<usize>, SearchError> {
        let dim = corpus.dim();
        assert_eq!(queries.len(), documents.len() * dim, "not one document a query");
        if dim == 0 || documents.is_empty() {
            return Ok(vec![1; documents.len()]);
        }
        let form = Form::new(self.similarity, dim, dim);
        let (queries, width) = (form.queries(queries), form.width());
        // The documents' own scores by the same product, so that equal vectors have equal scores.
        let mut scores = vec![0.0; documents.len()];
        for block in blocks(corpus) {
            let asked: Vec<usize> = (0..documents.len()).filter(|query| block.contains(&documents[*query])).collect();
            let rows = form.block(corpus, block.clone())?;
            for asked in asked.chunks(QUERY_BLOCK) {
                let vectors: Vec<f32> =
                    asked.iter().flat_map(|query| &queries[query * width..(query + 1) * width]).copied().collect();
                let found = self.products(&vectors, &rows, width)?;
                for (query, found) in asked.iter().zip(found.chunks_exact(block.len())) {
                    scores[*query] = found[documents[*query] - block.start];
                }
            }
        }
        let mut ranks = vec![1; documents.len()];
        for block in blocks(corpus) {
            let rows = form.block(corpus, block.clone())?;
            for first in (0..documents.len()).step_by(QUERY_BLOCK) {
                let range = first..documents.len().min(first + QUERY_BLOCK);
                let found = self.products(&queries[range.start * width..range.end * width], &rows, width)?;
                let found = found.par_chunks_exact(block.len()).zip(range.clone());
                ranks[range].par_iter_mut().zip(found).for_each(|(rank, (found, query))| {
                    *rank += before(found, &block, documents[query], scores[query], corpus);
                });
            }
        }
        Ok(ranks)
    }

    /// Scores, `[queries, rows]`.
    fn products(&mut self, queries: &[f32], rows: &[f32], dim: usize) -> Result<Vec<f32>, SearchError> {
        let outputs = self.product.run(queries, rows, dim, &[])?;
        match <[Output; 1]>::try_from(outputs) {
            Ok([Output::F32(scores, _)]) => Ok(scores),
            _ => Err(EngineError::Run("the graph of products gave other outputs than it declares".into()).into()),
        }
    }
}

/// How many documents of a block stand before `document`.
fn before(scores: &[f32], block: &Range<usize>, document: usize, score: f32, corpus: &Embeddings) -> usize {
    let own = (f64::from(score), corpus.id(document));
    let others = scores.iter().zip(block.clone()).filter(|(_, row)| *row != document);
    let is_before = |other: f32, row| {
        // The order's own comparison reads ids: only where they decide.
        if other == score { trec_order((f64::from(other), corpus.id(row)), own).is_lt() } else { other > score }
    };
    others.filter(|(other, row)| is_before(**other, *row)).count()
}
