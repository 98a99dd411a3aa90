//! What computes vectors: embtune's own graph, or an ONNX file of the model directory.

mod batch;
pub(crate) mod foreign;
pub(crate) mod own;

use std::ops::Range;

use embtune_onnx::Layout;
use embtune_ort_engine::{EngineError, Kernels};
use embtune_tensors::SMALLEST_NORM;
use embtune_tokenize::{Tokens, pack, pack_equal};

/// How many sessions of a graph there are, and how wide each is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sessions {
    pub(crate) count: usize,
    /// CPU threads of each.
    pub(crate) threads: usize,
}

/// A model, ready to run.
pub(crate) struct Network {
    /// One for each session.
    pub(crate) workers: Vec<Box<dyn Worker>>,
    pub(crate) layout: Layout,
    /// Elements of a vector.
    pub(crate) dim: usize,
    /// Whether the pooling is the directory's, and not a part of its ONNX file.
    pub(crate) pools: bool,
}

/// Divides a vector by its length.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(SMALLEST_NORM as f32);
    vector.iter_mut().for_each(|x| *x /= norm);
}

impl Network {
    /// Cuts rows, given by falling lengths, into batches of at most `budget` tokens.
    pub(crate) fn pack(&self, lengths: impl IntoIterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
        match self.layout {
            Layout::Equal => pack_equal(lengths, budget),
            Layout::Padded | Layout::Packed => pack(lengths, budget),
        }
    }
}

/// What computes one batch at a time; threads do not share it.
pub(crate) trait Worker: Send {
    /// Vectors of the rows of a batch, `[rows, dim]`.
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError>;

    /// The kernels that have run, once, when the engine was told to watch.
    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError>;
}
