//! Products of queries with a corpus, block by block.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use embtune_cli::Device;
use embtune_ort_engine::{Engine, Graph, Session, Tensor};
use embtune_tensors::Embeddings;
use rayon::prelude::*;

use crate::SearchError;
use crate::rows::{Form, blocks};

/// Queries in one product.
pub(crate) const QUERY_BLOCK: usize = 512;
/// Documents in a product of a CPU's worker: the scores take 4 MiB, which stay near its core.
const CPU_BLOCK: usize = 2048;
/// Documents in a product of a device that wants more at once: the scores take 32 MiB.
const DEVICE_BLOCK: usize = 16_384;

/// A graph of embtune-onnx that takes `queries` and `corpus`, with its sessions.
pub(crate) struct Sessions {
    graph: fn(usize) -> Vec<u8>,
    count: usize,
    /// Made for the vectors' size when that is first known.
    made: Option<(usize, Vec<Session>)>,
}

impl Sessions {
    /// So many sessions of one thread each; `graph` makes the graph for a vector size.
    pub(crate) fn new(graph: fn(usize) -> Vec<u8>, count: usize) -> Self {
        Self { graph, count, made: None }
    }

    pub(crate) fn of(&mut self, dim: usize, engine: &Engine) -> Result<&mut [Session], SearchError> {
        if self.made.as_ref().is_none_or(|(size, _)| *size != dim) {
            let onnx = (self.graph)(dim);
            let graph = Graph { onnx: &onnx, weights_folder: None };
            self.made = Some((dim, engine.sessions(graph, self.count, 1)?));
        }
        Ok(self.made.as_mut().map_or(&mut [], |(_, sessions)| sessions))
    }
}

/// Queries and documents as inputs of a graph.
pub(crate) fn with_inputs<T>(
    queries: &[f32],
    documents: &[f32],
    dim: usize,
    run: impl FnOnce([(&str, Tensor<'_>); 2]) -> T,
) -> T {
    let shapes = [queries, documents].map(|vectors| [vectors.len() / dim, dim]);
    run([("queries", Tensor::F32(queries, &shapes[0])), ("corpus", Tensor::F32(documents, &shapes[1]))])
}

/// All scores, seen once and never held together.
pub(crate) struct Products {
    engine: Engine,
    sessions: Sessions,
}

impl Products {
    /// Loads ONNX Runtime.
    ///
    /// # Errors
    /// No library, or a device that cannot run.
    pub(crate) fn new(device: Device, threads: usize, ort_library: Option<&Path>) -> Result<Self, SearchError> {
        let engine = Engine::start(device, ort_library)?;
        let workers = if engine.device() == Device::Cpu { threads } else { 1 };
        Ok(Self { engine, sessions: Sessions::new(embtune_onnx::products, workers) })
    }

    /// What the sessions run on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Documents in a product.
    pub(crate) fn block(&self) -> usize {
        if self.engine.device() == Device::Cpu { CPU_BLOCK } else { DEVICE_BLOCK }
    }

    /// Shows the scores of queries with every document: `queries` gives those of a block, and `visit` gets the number of
    /// one, the block, and its scores there. Many threads call both at the same time.
    ///
    /// On the CPU each worker takes block after block with a session of its own: reading the vectors of one is hidden
    /// behind the products of another, and nobody waits for the slowest.
    ///
    /// # Errors
    /// Corpus vectors that are not finite, a device that fails.
    pub(crate) fn each<'q>(
        &mut self,
        form: Form,
        queries: impl Fn(&Range<usize>) -> Cow<'q, [f32]> + Sync,
        corpus: &Embeddings,
        visit: impl Fn(usize, Range<usize>, &[f32]) + Sync,
    ) -> Result<(), SearchError> {
        let dim = form.width();
        let waiting = Mutex::new(blocks(corpus, self.block()));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.sessions.of(dim, &self.engine)?.par_iter_mut().try_for_each(|session| {
            while let Some(block) = next() {
                let queries = queries(&block);
                if queries.is_empty() {
                    continue;
                }
                let rows = form.block(corpus, block.clone())?;
                for (number, queries) in queries.chunks(QUERY_BLOCK * dim).enumerate() {
                    let look = |scores: &[f32]| {
                        for (query, scores) in scores.chunks_exact(block.len()).enumerate() {
                            visit(number * QUERY_BLOCK + query, block.clone(), scores);
                        }
                    };
                    with_inputs(queries, &rows, dim, |inputs| session.look(&inputs, look))?;
                }
            }
            Ok(())
        })
    }
}
