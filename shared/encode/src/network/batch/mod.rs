//! Rows of tokens as the inputs of the graph, in its layout.

pub(crate) mod equal;
pub(crate) mod packed;
pub(crate) mod padded;

use embtune_ort_engine::Tensor;
use embtune_tokenize::Tokens;

/// The graph's inputs by name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    pub(crate) longs: Vec<(&'static str, Vec<i64>, Vec<usize>)>,
    pub(crate) ints: Vec<(&'static str, Vec<i32>, Vec<usize>)>,
}

impl Batch {
    /// As ONNX Runtime takes them.
    pub(crate) fn tensors(&self) -> Vec<(&str, Tensor<'_>)> {
        let longs = self.longs.iter().map(|(name, data, shape)| (*name, Tensor::I64(data, shape)));
        let ints = self.ints.iter().map(|(name, data, shape)| (*name, Tensor::I32(data, shape)));
        longs.chain(ints).collect()
    }
}

pub(crate) fn longest(rows: &[&Tokens]) -> usize {
    rows.iter().map(|row| row.ids.len()).max().unwrap_or(0)
}
