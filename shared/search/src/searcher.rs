//! The nearest documents of every query.

use std::borrow::Cow;
use std::path::Path;

use embtune_cli::Device;
use embtune_metrics::{Hit, Ties, TopK};
use embtune_ort_engine::{EngineError, Output, Session, Tensor};
use embtune_tensors::Embeddings;
use rayon::prelude::*;

use crate::scorer::{Scorer, SessionPool, with_inputs};
use crate::transform::Transform;
use crate::{SearchError, Similarity};

/// Finds nearest vectors on one device.
pub struct Searcher {
    scorer: Scorer,
    top_k: SessionPool,
    similarity: Similarity,
    ties: Ties,
    dim: usize,
}

impl Searcher {
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
        let scorer = Scorer::new(device, threads, ort_library)?;
        let top_k = SessionPool::new(embtune_onnx::top_k, scorer.block_sizes());
        Ok(Self { scorer, top_k, similarity, ties: Ties::default(), dim: usize::MAX })
    }

    /// Changes the order of equal scores, which is that of trec_eval by default.
    #[must_use]
    pub fn breaking_ties(self, ties: Ties) -> Self {
        Self { ties, ..self }
    }

    /// Compares only the first `dim` elements of all vectors (Matryoshka).
    #[must_use]
    pub fn truncating(self, dim: usize) -> Self {
        Self { dim, ..self }
    }

    /// The device that computes the scores.
    pub fn device(&self) -> Device {
        self.scorer.engine().device()
    }

    /// The `k` nearest corpus vectors of every query, in descending order of score; ties are broken by id.
    ///
    /// # Shapes
    /// - `queries`: `[queries, dim]`, finite (see [`gather`])
    ///
    /// # Errors
    /// Corpus vectors that are not finite, a device that fails.
    ///
    /// # Panics
    /// If the length of `queries` is not a multiple of the corpus' vector size.
    pub fn top_k(&mut self, queries: &[f32], corpus: &Embeddings, k: usize) -> Result<Vec<Vec<Hit>>, SearchError> {
        let dim = corpus.dim();
        if dim == 0 || queries.is_empty() {
            return Ok(Vec::new());
        }
        let k = k.min(corpus.len());
        assert!(queries.len().is_multiple_of(dim), "the queries are not a whole number of vectors");
        let transform = Transform::new(self.similarity, dim, self.dim);
        let transformed = transform.queries(queries);
        let best = TopK::new(queries.len() / dim, k, |index| corpus.id(index)).breaking_ties(self.ties);
        if self.device() == Device::Cpu {
            self.add_all_scores(&best, transform, &transformed, corpus)?;
        } else {
            self.add_top_of_blocks(&best, transform, &transformed, corpus)?;
        }
        let hits = best.into_hits();
        // The products are in the order of the distances, but they are not distances.
        if self.similarity == Similarity::Euclidean { self.rescore(queries, corpus, hits, k) } else { Ok(hits) }
    }

    /// Selects among all scores, on the threads that compute them.
    fn add_all_scores<'c>(
        &mut self,
        best: &TopK<impl Fn(usize) -> &'c str + Sync>,
        transform: Transform,
        queries: &[f32],
        corpus: &Embeddings,
    ) -> Result<(), SearchError> {
        self.scorer.score_blocks(
            transform,
            |_| Cow::Borrowed(queries),
            corpus,
            |query, rows, scores| {
                best.add_scores(query, rows.start, scores);
            },
        )
    }

    /// Lets the device select the best of each block, because reading back all scores would take longer.
    fn add_top_of_blocks<'c>(
        &mut self,
        best: &TopK<impl Fn(usize) -> &'c str + Sync>,
        transform: Transform,
        queries: &[f32],
        corpus: &Embeddings,
    ) -> Result<(), SearchError> {
        let (width, most) = (transform.width(), self.scorer.block_sizes().queries);
        self.top_k.for_each_block(self.scorer.engine(), width, corpus, |session, block| {
            let rows = transform.block(corpus, block.clone())?;
            for (number, queries) in queries.chunks(most * width).enumerate() {
                let first = number * most;
                let range = first..first + queries.len() / width;
                best.add(range, block.clone(), |n| top_of_block(session, queries, &rows, width, n))?;
            }
            Ok(())
        })
    }

    /// Scores hits again with the vectors of `corpus` and keeps the best `k` of each query. The hits may have been
    /// found with coarser vectors of the same documents in the same order.
    ///
    /// # Errors
    /// Corpus vectors that are not finite.
    ///
    /// # Panics
    /// If a hit is outside the corpus.
    pub fn rescore(
        &self,
        queries: &[f32],
        corpus: &Embeddings,
        hits: Vec<Vec<Hit>>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, SearchError> {
        let (dim, compared) = (corpus.dim(), corpus.dim().min(self.dim));
        let rescored = queries.par_chunks_exact(dim.max(1)).zip(hits).map(|(query, mut hits)| {
            for hit in &mut hits {
                let document = corpus.finite_rows_f32(hit.index..hit.index + 1)?;
                hit.score = self.similarity.of(&query[..compared], &document[..compared]);
            }
            hits.sort_by(|a, b| {
                self.ties.order_by(a.score.into(), b.score.into(), || (corpus.id(a.index), corpus.id(b.index)))
            });
            hits.truncate(k);
            Ok(hits)
        });
        rescored.collect()
    }
}

/// The best `k` of a block: scores and row indices, `[queries, k]`, in descending order of score.
fn top_of_block(
    session: &mut Session,
    queries: &[f32],
    rows: &[f32],
    dim: usize,
    k: usize,
) -> Result<(Vec<f32>, Vec<i64>), SearchError> {
    let outputs = with_inputs(queries, rows, dim, |[queries, corpus]| {
        session.run(&[queries, corpus, ("k", Tensor::I64(&[k as i64], &[1]))])
    })?;
    match <[Output; 2]>::try_from(outputs) {
        Ok([Output::F32(scores, _), Output::I64(indices, _)]) => Ok((scores, indices)),
        _ => Err(EngineError::Run("the search graph returned unexpected outputs".into()).into()),
    }
}

/// Copies some vectors of a file into one slice, as [`Searcher::top_k`] takes queries.
///
/// # Errors
/// [`SearchError::Vectors`], which names the first vector that contains NaN or infinity.
pub fn gather(file: &Embeddings, rows: impl Iterator<Item = usize>) -> Result<Vec<f32>, SearchError> {
    let mut vectors = Vec::with_capacity(rows.size_hint().0 * file.dim());
    for row in rows {
        vectors.extend_from_slice(&file.finite_rows_f32(row..row + 1)?);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use embtune_tensors::{EmbeddingsMeta, EmbeddingsWriter, VectorType};

    use super::*;

    /// The CPU runs the code path for GPUs.
    #[test]
    fn the_top_of_blocks_gives_what_all_scores_give() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EmbeddingsWriter::new(folder.path(), 8, VectorType::F32).unwrap();
        // Few distinct vectors, so that there are many ties.
        let rows: Vec<[f32; 8]> =
            (0..5000_u32).map(|row| std::array::from_fn(|n| (((row * 7) >> n) & 3) as f32)).collect();
        for (index, row) in rows.iter().enumerate() {
            writer.push(&format!("d{}", index * 17 % 5003), row).unwrap();
        }
        let path = folder.path().join("c");
        writer.finish(EmbeddingsMeta::default(), &mut File::create(&path).unwrap()).unwrap();
        let corpus = Embeddings::open(&path).unwrap();
        let queries = rows[1..600].concat();

        let mut searcher = Searcher::new(Device::Cpu, 2, Similarity::Dot, None).unwrap();
        let transform = Transform::new(Similarity::Dot, 8, 8);
        let top = || TopK::new(599, 20, |index| corpus.id(index));
        let (scores, lists) = (top(), top());
        searcher.add_all_scores(&scores, transform, &queries, &corpus).unwrap();
        searcher.add_top_of_blocks(&lists, transform, &queries, &corpus).unwrap();
        assert_eq!(scores.into_hits(), lists.into_hits());
    }
}
