//! Backends, which compute vectors from batches of tokens: a graph that embtune writes itself, or an ONNX file of the
//! model directory.

pub(crate) mod native;
pub(crate) mod onnx_file;
mod onnx_io;

use std::ops::Range;

use embtune_onnx::Layout;
use embtune_ort_engine::{EngineError, Kernels};
use embtune_tensors::SMALLEST_NORM;
use embtune_tokenize::{Tokens, pack, pack_equal};

/// How many sessions of a graph run at the same time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sessions {
    pub(crate) count: usize,
    /// Number of CPU threads of each session.
    pub(crate) threads: usize,
}

/// A model that is ready to run.
pub(crate) struct Backend {
    /// One for each session.
    pub(crate) workers: Vec<Box<dyn Worker>>,
    pub(crate) layout: Layout,
    /// Number of elements of a vector.
    pub(crate) dim: usize,
    /// Whether the directory's pooling is applied; otherwise the ONNX file pools by itself.
    pub(crate) pools: bool,
}

impl Backend {
    /// Divides rows, given by their lengths in descending order, into batches of at most `budget` tokens.
    pub(crate) fn pack(&self, lengths: impl IntoIterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
        match self.layout {
            Layout::Equal => pack_equal(lengths, budget),
            Layout::Padded | Layout::Packed => pack(lengths, budget),
        }
    }
}

/// Computes one batch at a time. A worker belongs to one thread.
pub(crate) trait Worker: Send {
    /// The vectors of a batch, `[rows, dim]`.
    fn run(&mut self, rows: &[&Tokens]) -> Result<Vec<f32>, EngineError>;

    /// The kernels that have run so far, if the engine profiles sessions. Only the first call returns them.
    fn kernels(&mut self) -> Result<Option<Vec<Kernels>>, EngineError>;
}

/// Scales a vector to length 1.
pub(crate) fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(SMALLEST_NORM as f32);
    vector.iter_mut().for_each(|x| *x /= norm);
}
