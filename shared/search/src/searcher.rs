//! The loop over blocks.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use embtune_cli::Device;
use embtune_metrics::{Hit, TopK};
use embtune_ort_engine::{Engine, EngineError, Graph, Output, Session, Tensor};
use embtune_tensors::{Embeddings, TensorsError};

use crate::matrix::normalize;

/// Corpus vectors in one product: enough that reading them is hidden behind it.
const CORPUS_BLOCK: usize = 16_384;
/// Queries in one product; with [`CORPUS_BLOCK`] the scores take 32 MiB.
const QUERY_BLOCK: usize = 512;

/// How near two vectors are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Similarity {
    /// The cosine of their angle.
    Cosine,
    /// Their dot product.
    Dot,
}

impl FromStr for Similarity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cosine" => Ok(Self::Cosine),
            "dot" => Ok(Self::Dot),
            _ => Err("expected cosine or dot".into()),
        }
    }
}

impl fmt::Display for Similarity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
        })
    }
}

/// Why a search cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// ONNX Runtime refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A vector holds NaN or infinity.
    #[error(transparent)]
    Vectors(#[from] TensorsError),
}

/// Finds nearest vectors on one device.
pub struct Searcher {
    engine: Engine,
    threads: usize,
    similarity: Similarity,
    /// The graph's session, made for the vectors' size when that is first known.
    session: Option<(usize, Session)>,
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
        Ok(Self { engine: Engine::start(device, ort_library)?, threads, similarity, session: None })
    }

    /// The device that runs the products.
    pub fn device(&self) -> Device {
        self.engine.device()
    }

    /// The `k` nearest corpus vectors of every query, falling by score, ties by falling id.
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
        assert!(queries.len().is_multiple_of(dim), "queries are no whole number of vectors");
        let mut queries = queries.to_vec();
        if self.similarity == Similarity::Cosine {
            normalize(&mut queries, dim);
        }
        let mut best = TopK::new(queries.len() / dim, k, |index| corpus.id(index));
        for start in (0..corpus.len()).step_by(CORPUS_BLOCK) {
            let block = start..corpus.len().min(start + CORPUS_BLOCK);
            let mut rows = corpus.finite_rows_f32(block.clone())?;
            if self.similarity == Similarity::Cosine {
                normalize(rows.to_mut(), dim);
            }
            for (number, queries) in queries.chunks(QUERY_BLOCK * dim).enumerate() {
                let first = number * QUERY_BLOCK;
                let range = first..first + queries.len() / dim;
                best.add(range, block.clone(), |n| self.run(queries, &rows, dim, n))?;
            }
        }
        Ok(best.into_hits())
    }

    /// Runs the graph: scores and row indices, `[queries, k]`, falling by score.
    fn run(
        &mut self,
        queries: &[f32],
        rows: &[f32],
        dim: usize,
        k: usize,
    ) -> Result<(Vec<f32>, Vec<i64>), SearchError> {
        let session = match &mut self.session {
            Some((size, session)) if *size == dim => session,
            slot => {
                let onnx = embtune_onnx::top_k(dim);
                let graph = Graph { onnx: &onnx, weights_folder: None };
                let session = self.engine.sessions(graph, 1, self.threads)?.remove(0);
                &mut slot.insert((dim, session)).1
            }
        };
        let outputs = session.run(&[
            ("queries", Tensor::F32(queries, &[queries.len() / dim, dim])),
            ("corpus", Tensor::F32(rows, &[rows.len() / dim, dim])),
            ("k", Tensor::I64(&[k as i64], &[1])),
        ])?;
        match <[Output; 2]>::try_from(outputs) {
            Ok([Output::F32(scores, _), Output::I64(indices, _)]) => Ok((scores, indices)),
            _ => Err(EngineError::Run("the search graph gave other outputs than it declares".into()).into()),
        }
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
