//! The scores of queries with a corpus, block by block.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use embtune_cli::Device;
use embtune_ort_engine::{Engine, Graph, Session, Tensor};
use embtune_tensors::Embeddings;
use rayon::prelude::*;

use crate::SearchError;
use crate::transform::Transform;

/// How much is multiplied at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockSizes {
    pub(crate) queries: usize,
    documents: usize,
    /// Blocks that are multiplied at the same time.
    workers: usize,
}

impl BlockSizes {
    /// On the CPU, a worker's scores take 4 MiB, which stay in the cache of its core. A GPU gets all queries of a pass,
    /// so that documents are transferred once, and two workers, so that one transfers while the other multiplies.
    fn on(device: Device, threads: usize) -> Self {
        match device {
            Device::Cpu => Self { queries: 512, documents: 2048, workers: threads },
            _ => Self { queries: 8192, documents: 16_384, workers: 2 },
        }
    }
}

/// A graph of embtune-onnx that takes `queries` and `corpus`, with one session per worker.
pub(crate) struct SessionPool {
    graph: fn(usize) -> Vec<u8>,
    sizes: BlockSizes,
    /// The sessions and the vector size they were created for, once that is known.
    sessions: Option<(usize, Vec<Session>)>,
}

impl SessionPool {
    /// Each session has one thread; `graph` builds the graph for a vector size.
    pub(crate) fn new(graph: fn(usize) -> Vec<u8>, sizes: BlockSizes) -> Self {
        Self { graph, sizes, sessions: None }
    }

    fn for_dim(&mut self, dim: usize, engine: &Engine) -> Result<&mut [Session], SearchError> {
        if self.sessions.as_ref().is_none_or(|(size, _)| *size != dim) {
            let onnx = (self.graph)(dim);
            let graph = Graph { onnx: &onnx, weights_folder: None };
            self.sessions = Some((dim, engine.sessions(graph, self.sizes.workers, 1)?));
        }
        Ok(self.sessions.as_mut().map_or(&mut [], |(_, sessions)| sessions))
    }

    /// Hands every block of a corpus, whose transformed rows have `dim` elements, to a worker with its session.
    ///
    /// Workers take the next block when they are done with one, so that reading one block overlaps with multiplying
    /// another and no worker waits for the slowest.
    ///
    /// # Errors
    /// An error of `work`.
    pub(crate) fn for_each_block(
        &mut self,
        engine: &Engine,
        dim: usize,
        corpus: &Embeddings,
        work: impl Fn(&mut Session, Range<usize>) -> Result<(), SearchError> + Sync,
    ) -> Result<(), SearchError> {
        let remaining = Mutex::new(blocks(corpus, self.sizes.documents));
        let next = || remaining.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.for_dim(dim, engine)?.par_iter_mut().try_for_each(|session| {
            while let Some(block) = next() {
                work(session, block)?;
            }
            Ok(())
        })
    }
}

/// The parts in which a corpus is scored: each within one file, and no longer than `most` rows.
///
/// The parts of a file have sizes as equal as possible. The product of a small remainder would be summed in a different
/// order, and equal vectors would get different scores.
fn blocks(corpus: &Embeddings, most: usize) -> impl Iterator<Item = Range<usize>> {
    corpus.files().flat_map(move |rows| {
        let size = rows.len().div_ceil(rows.len().div_ceil(most).max(1)).max(1);
        rows.clone().step_by(size).map(move |start| start..rows.end.min(start + size))
    })
}

/// Passes queries and documents to a graph as its inputs.
pub(crate) fn with_inputs<T>(
    queries: &[f32],
    documents: &[f32],
    dim: usize,
    run: impl FnOnce([(&str, Tensor<'_>); 2]) -> T,
) -> T {
    let shapes = [queries, documents].map(|vectors| [vectors.len() / dim, dim]);
    run([("queries", Tensor::F32(queries, &shapes[0])), ("corpus", Tensor::F32(documents, &shapes[1]))])
}

/// Computes all scores, holding only one block per worker at a time.
pub(crate) struct Scorer {
    engine: Engine,
    pool: SessionPool,
}

impl Scorer {
    /// Loads ONNX Runtime.
    ///
    /// # Errors
    /// No library, or a device that cannot run.
    pub(crate) fn new(device: Device, threads: usize, ort_library: Option<&Path>) -> Result<Self, SearchError> {
        let engine = Engine::start(device, ort_library)?;
        let sizes = BlockSizes::on(engine.device(), threads);
        Ok(Self { engine, pool: SessionPool::new(embtune_onnx::dot_products, sizes) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn block_sizes(&self) -> BlockSizes {
        self.pool.sizes
    }

    /// Scores queries with every document. `queries` gives the queries for a block of documents, and `visit` is called
    /// for each of them with its number, the block, and its scores there. Many threads call both at the same time.
    ///
    /// # Errors
    /// Corpus vectors that are not finite, a device that fails.
    pub(crate) fn score_blocks<'q>(
        &mut self,
        transform: Transform,
        queries: impl Fn(&Range<usize>) -> Cow<'q, [f32]> + Sync,
        corpus: &Embeddings,
        visit: impl Fn(usize, Range<usize>, &[f32]) + Sync,
    ) -> Result<(), SearchError> {
        let (dim, most) = (transform.width(), self.block_sizes().queries);
        self.pool.for_each_block(&self.engine, dim, corpus, |session, block| {
            let queries = queries(&block);
            if queries.is_empty() {
                return Ok(());
            }
            let rows = transform.block(corpus, block.clone())?;
            for (number, queries) in queries.chunks(most * dim).enumerate() {
                let look = |scores: &[f32]| {
                    for (query, scores) in scores.chunks_exact(block.len()).enumerate() {
                        visit(number * most + query, block.clone(), scores);
                    }
                };
                with_inputs(queries, &rows, dim, |inputs| session.run_with(&inputs, look))?;
            }
            Ok(())
        })
    }
}
