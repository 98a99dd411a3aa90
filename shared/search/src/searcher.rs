//! The loop over blocks.

use std::borrow::Cow;
use std::path::Path;

use embtune_cli::Device;
use embtune_metrics::{Hit, Ties, TopK};
use embtune_ort_engine::{EngineError, Output, Session, Tensor};
use embtune_tensors::{Embeddings, TensorsError};
use rayon::prelude::*;

use crate::Similarity;
use crate::product::{Products, Sessions, with_inputs};
use crate::rows::Form;

/// Why a search cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// ONNX Runtime refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A vector holds NaN or infinity.
    #[error(transparent)]
    Vectors(#[from] TensorsError),
    /// A vector's length is beyond what an f32 holds.
    #[error("{0}: the squares of a vector's elements are too large to be summed")]
    TooLarge(String),
}

/// Finds nearest vectors on one device.
pub struct Searcher {
    products: Products,
    lists: Sessions,
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
        let products = Products::new(device, threads, ort_library)?;
        let lists = Sessions::new(embtune_onnx::top_k, products.blocks());
        Ok(Self { products, lists, similarity, ties: Ties::default(), dim: usize::MAX })
    }

    /// The same with another order of equal scores; the default is trec_eval's.
    #[must_use]
    pub fn breaking_ties(self, ties: Ties) -> Self {
        Self { ties, ..self }
    }

    /// The same with only the first `dim` elements of all vectors being compared (Matryoshka).
    #[must_use]
    pub fn truncating(self, dim: usize) -> Self {
        Self { dim, ..self }
    }

    /// The device that runs the products.
    pub fn device(&self) -> Device {
        self.products.engine().device()
    }

    /// The `k` nearest corpus vectors of every query, falling by score, equal ones by their ids.
    ///
    /// # Shapes
    /// - `queries`: `[queries, dim]`, finite (see [`gather`])
    ///
    /// # Errors
    /// Corpus vectors that are not finite, a device that fails.
    ///
    /// # Panics
    /// When the queries are no whole number of vectors of the corpus' size.
    pub fn top_k(&mut self, queries: &[f32], corpus: &Embeddings, k: usize) -> Result<Vec<Vec<Hit>>, SearchError> {
        let dim = corpus.dim();
        if dim == 0 || queries.is_empty() {
            return Ok(Vec::new());
        }
        let k = k.min(corpus.len());
        assert!(queries.len().is_multiple_of(dim), "queries are no whole number of vectors");
        let form = Form::new(self.similarity, dim, self.dim);
        let prepared = form.queries(queries);
        let best = TopK::new(queries.len() / dim, k, |index| corpus.id(index)).breaking_ties(self.ties);
        if self.device() == Device::Cpu {
            self.add_scores(&best, form, &prepared, corpus)?;
        } else {
            self.add_lists(&best, form, &prepared, corpus)?;
        }
        let hits = best.into_hits();
        // A product is not yet a distance.
        if self.similarity == Similarity::Euclidean { self.rescore(queries, corpus, hits, k) } else { Ok(hits) }
    }

    /// Chooses among all scores, by as many threads as make them.
    fn add_scores<'c>(
        &mut self,
        best: &TopK<impl Fn(usize) -> &'c str + Sync>,
        form: Form,
        queries: &[f32],
        corpus: &Embeddings,
    ) -> Result<(), SearchError> {
        self.products.each(
            form,
            |_| Cow::Borrowed(queries),
            corpus,
            |query, rows, scores| {
                best.add_scores(query, rows.start, scores);
            },
        )
    }

    /// Lets the device choose among the scores of each block: reading all of them back would cost more.
    fn add_lists<'c>(
        &mut self,
        best: &TopK<impl Fn(usize) -> &'c str + Sync>,
        form: Form,
        queries: &[f32],
        corpus: &Embeddings,
    ) -> Result<(), SearchError> {
        let (width, most) = (form.width(), self.products.blocks().queries);
        self.lists.sweep(self.products.engine(), width, corpus, |session, block| {
            let rows = form.block(corpus, block.clone())?;
            for (number, queries) in queries.chunks(most * width).enumerate() {
                let first = number * most;
                let range = first..first + queries.len() / width;
                best.add(range, block.clone(), |n| list(session, queries, &rows, width, n))?;
            }
            Ok(())
        })
    }

    /// Orders hits anew by these vectors, and keeps `k` of each query: for hits that were found with coarser vectors of
    /// the same documents, in the same order.
    ///
    /// # Errors
    /// Corpus vectors that are not finite.
    ///
    /// # Panics
    /// When a hit lies outside the corpus, or the queries are not those of the hits.
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

/// The `k` best of a block: scores and row indices, `[queries, k]`, falling by score.
fn list(
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
        _ => Err(EngineError::Run("the search graph gave other outputs than it declares".into()).into()),
    }
}

/// Some vectors of a file, one behind the other, as [`Searcher::top_k`] takes queries.
///
/// # Errors
/// [`SearchError::Vectors`], which names the first vector that holds NaN or infinity.
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

    /// What a device does is done here by the CPU.
    #[test]
    fn lists_of_blocks_give_what_all_scores_give() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EmbeddingsWriter::new(folder.path(), 8, VectorType::F32).unwrap();
        // Few different vectors: ties are everywhere.
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
        let form = Form::new(Similarity::Dot, 8, 8);
        let top = || TopK::new(599, 20, |index| corpus.id(index));
        let (scores, lists) = (top(), top());
        searcher.add_scores(&scores, form, &queries, &corpus).unwrap();
        searcher.add_lists(&lists, form, &queries, &corpus).unwrap();
        assert_eq!(scores.into_hits(), lists.into_hits());
    }
}
