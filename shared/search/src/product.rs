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

/// How much is multiplied at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    pub(crate) queries: usize,
    documents: usize,
    /// Products at the same time.
    workers: usize,
}

impl Blocks {
    /// A CPU's worker has scores of 4 MiB, which stay near its core. Another device gets all queries of a pass, so
    /// that documents are sent to it once, and two workers: one sends while the other multiplies.
    fn on(device: Device, threads: usize) -> Self {
        match device {
            Device::Cpu => Self { queries: 512, documents: 2048, workers: threads },
            _ => Self { queries: 8192, documents: 16_384, workers: 2 },
        }
    }
}

/// A graph of embtune-onnx that takes `queries` and `corpus`, with a session for each worker.
pub(crate) struct Sessions {
    graph: fn(usize) -> Vec<u8>,
    blocks: Blocks,
    /// Made for the vectors' size when that is first known.
    made: Option<(usize, Vec<Session>)>,
}

impl Sessions {
    /// Sessions of one thread each; `graph` makes the graph for a vector size.
    pub(crate) fn new(graph: fn(usize) -> Vec<u8>, blocks: Blocks) -> Self {
        Self { graph, blocks, made: None }
    }

    fn of(&mut self, dim: usize, engine: &Engine) -> Result<&mut [Session], SearchError> {
        if self.made.as_ref().is_none_or(|(size, _)| *size != dim) {
            let onnx = (self.graph)(dim);
            let graph = Graph { onnx: &onnx, weights_folder: None };
            self.made = Some((dim, engine.sessions(graph, self.blocks.workers, 1)?));
        }
        Ok(self.made.as_mut().map_or(&mut [], |(_, sessions)| sessions))
    }

    /// Gives every block of a corpus, whose rows have `dim` elements in products, to a worker with its session.
    ///
    /// Workers take block after block: reading the vectors of one is hidden behind the products of another, and nobody
    /// waits for the slowest.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn sweep(
        &mut self,
        engine: &Engine,
        dim: usize,
        corpus: &Embeddings,
        work: impl Fn(&mut Session, Range<usize>) -> Result<(), SearchError> + Sync,
    ) -> Result<(), SearchError> {
        let waiting = Mutex::new(blocks(corpus, self.blocks.documents));
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
        self.of(dim, engine)?.par_iter_mut().try_for_each(|session| {
            while let Some(block) = next() {
                work(session, block)?;
            }
            Ok(())
        })
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
        let blocks = Blocks::on(engine.device(), threads);
        Ok(Self { engine, sessions: Sessions::new(embtune_onnx::dot_products, blocks) })
    }

    /// What the sessions run on.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn blocks(&self) -> Blocks {
        self.sessions.blocks
    }

    /// Shows the scores of queries with every document: `queries` gives those of a block, and `visit` gets the number of
    /// one, the block, and its scores there. Many threads call both at the same time.
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
        let (dim, most) = (form.width(), self.blocks().queries);
        self.sessions.sweep(&self.engine, dim, corpus, |session, block| {
            let queries = queries(&block);
            if queries.is_empty() {
                return Ok(());
            }
            let rows = form.block(corpus, block.clone())?;
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
