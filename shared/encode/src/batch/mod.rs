//! Rows of tokens as the inputs of the graph, in its layout.

mod equal;
mod packed;
mod padded;

use std::ops::Range;

use embtune_model::EncoderConfig;
use embtune_onnx::Layout;
use embtune_ort_engine::Tensor;
use embtune_tokenize::{Tokens, pack, pack_equal};

/// How batches of a model are made.
pub(crate) struct BatchShape {
    pub(crate) layout: Layout,
    pub(crate) config: EncoderConfig,
}

impl BatchShape {
    /// Cuts rows, given by falling lengths, into batches of at most `budget` tokens.
    pub(crate) fn pack(&self, lengths: impl IntoIterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
        match self.layout {
            Layout::Equal => pack_equal(lengths, budget),
            Layout::Padded | Layout::Packed => pack(lengths, budget),
        }
    }

    pub(crate) fn batch(&self, rows: &[&Tokens]) -> Batch {
        match self.layout {
            Layout::Equal => equal::batch(rows),
            Layout::Padded => padded::batch(rows, self.config.pad_token_id),
            Layout::Packed => packed::batch(rows, &self.config),
        }
    }
}

/// The graph's inputs by name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    longs: Vec<(&'static str, Vec<i64>, Vec<usize>)>,
    ints: Vec<(&'static str, Vec<i32>, Vec<usize>)>,
}

impl Batch {
    pub(crate) fn tensors(&self) -> Vec<(&str, Tensor<'_>)> {
        let longs = self.longs.iter().map(|(name, data, shape)| (*name, Tensor::I64(data, shape)));
        let ints = self.ints.iter().map(|(name, data, shape)| (*name, Tensor::I32(data, shape)));
        longs.chain(ints).collect()
    }
}

fn longest(rows: &[&Tokens]) -> usize {
    rows.iter().map(|row| row.ids.len()).max().unwrap_or(0)
}
