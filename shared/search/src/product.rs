//! Products of queries with a block of documents, on one device.

use std::path::Path;

use embtune_cli::Device;
use embtune_ort_engine::{Engine, Graph, Output, Session, Tensor};

use crate::SearchError;

/// A graph of embtune-onnx that takes `queries` and `corpus`.
pub(crate) struct Product {
    engine: Engine,
    threads: usize,
    graph: fn(usize) -> Vec<u8>,
    /// The graph's session, made for the vectors' size when that is first known.
    session: Option<(usize, Session)>,
}

impl Product {
    /// Loads ONNX Runtime; `graph` makes the graph for a vector size.
    ///
    /// # Errors
    /// No library, or a device that cannot run.
    pub(crate) fn new(
        device: Device,
        threads: usize,
        ort_library: Option<&Path>,
        graph: fn(usize) -> Vec<u8>,
    ) -> Result<Self, SearchError> {
        Ok(Self { engine: Engine::start(device, ort_library)?, threads, graph, session: None })
    }

    /// The device that runs the products.
    pub(crate) fn device(&self) -> Device {
        self.engine.device()
    }

    /// What the graph gives for queries and documents of `dim` elements, and its further inputs.
    ///
    /// # Errors
    /// A device that fails.
    pub(crate) fn run(
        &mut self,
        queries: &[f32],
        documents: &[f32],
        dim: usize,
        further: &[(&str, Tensor<'_>)],
    ) -> Result<Vec<Output>, SearchError> {
        let session = match &mut self.session {
            Some((size, session)) if *size == dim => session,
            slot => {
                let onnx = (self.graph)(dim);
                let graph = Graph { onnx: &onnx, weights_folder: None };
                let session = self.engine.sessions(graph, 1, self.threads)?.remove(0);
                &mut slot.insert((dim, session)).1
            }
        };
        let shapes = [queries, documents].map(|vectors| [vectors.len() / dim, dim]);
        let own = [("queries", Tensor::F32(queries, &shapes[0])), ("corpus", Tensor::F32(documents, &shapes[1]))];
        let inputs = [&own, further].concat();
        Ok(session.run(&inputs)?)
    }
}
