//! The rank of a given document among all others.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use embtune_cli::Device;
use embtune_metrics::Ties;
use embtune_tensors::Embeddings;

use crate::scorer::Scorer;
use crate::transform::Transform;
use crate::{SearchError, Similarity};

/// Counts the documents that are ranked above a given one, for ranks too deep for a list of hits.
pub struct Ranker {
    scorer: Scorer,
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
        Ok(Self { scorer: Scorer::new(device, threads, ort_library)?, similarity })
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
    /// If there are not as many queries as documents, or a row is past the last document.
    pub fn ranks(
        &mut self,
        queries: &[f32],
        corpus: &Embeddings,
        documents: &[usize],
    ) -> Result<Vec<usize>, SearchError> {
        let dim = corpus.dim();
        assert_eq!(queries.len(), documents.len() * dim, "expected one document per query");
        if dim == 0 || documents.is_empty() {
            return Ok(vec![1; documents.len()]);
        }
        let transform = Transform::new(self.similarity, dim, dim);
        let (queries, width) = (transform.queries(queries), transform.width());
        // The scores of the documents themselves come from the same products, so that equal vectors have equal scores.
        let mut rows: Vec<(usize, usize)> = documents.iter().copied().zip(0..).collect();
        rows.sort_unstable();
        let inside = |block: &Range<usize>| {
            let place = |row: usize| rows.partition_point(|(document, _)| *document < row);
            &rows[place(block.start)..place(block.end)]
        };
        let vector = |query: usize| &queries[query * width..(query + 1) * width];
        let own = |block: &Range<usize>| inside(block).iter().flat_map(|(_, query)| vector(*query)).copied().collect();
        let scores = Mutex::new(vec![0.0; documents.len()]);
        self.scorer.score_blocks(transform, own, corpus, |number, block, found| {
            let (document, query) = inside(&block)[number];
            scores.lock().unwrap_or_else(PoisonError::into_inner)[query] = found[document - block.start];
        })?;

        let scores = scores.into_inner().unwrap_or_else(PoisonError::into_inner);
        let ranks: Vec<AtomicUsize> = documents.iter().map(|_| AtomicUsize::new(1)).collect();
        self.scorer.score_blocks(
            transform,
            |_| Cow::Borrowed(&*queries),
            corpus,
            |query, block, found| {
                let above = count_above(found, &block, documents[query], scores[query], corpus);
                ranks[query].fetch_add(above, Ordering::Relaxed);
            },
        )?;
        Ok(ranks.into_iter().map(AtomicUsize::into_inner).collect())
    }
}

/// How many documents of a block are ranked above `document`.
fn count_above(scores: &[f32], block: &Range<usize>, document: usize, score: f32, corpus: &Embeddings) -> usize {
    let others = scores.iter().zip(block.clone()).filter(|(_, row)| *row != document);
    let is_above = |other: f32, row| {
        Ties::GreaterId.order_by(other.into(), score.into(), || (corpus.id(row), corpus.id(document))).is_lt()
    };
    others.filter(|(other, row)| is_above(**other, *row)).count()
}
