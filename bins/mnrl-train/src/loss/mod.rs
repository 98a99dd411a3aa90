//! Losses, each to the formula and the defaults of sentence-transformers 6.0.1.

mod direction;
mod mnrl;
mod objective;
mod targets;

use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

pub(crate) use direction::Direction;
pub(crate) use mnrl::{Hardness, HardnessMode, Mnrl, Partition};
pub(crate) use objective::Objective;
pub(crate) use targets::{Guide, Targets};

/// A loss of a batch's vectors.
pub(crate) trait Loss {
    /// The share of some pairs in the batch's loss: the shares of all pairs add up to it.
    ///
    /// # Shapes
    /// - `anchors`: `[pairs, size]`, f32
    /// - `documents`: `[documents, size]`, f32; document `i` is the positive of anchor `i`, the rest are negatives
    /// - `rows`: a range of pairs
    /// - output: `[]`
    ///
    /// # Errors
    /// What libtorch says; targets that lack what the loss reads.
    fn chunk(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
        rows: Range<usize>,
    ) -> Result<Tensor, TorchError>;

    /// Whether [`chunk`](Self::chunk) is to see vectors of length 1, as a loss on cosines.
    fn on_unit_vectors(&self) -> bool;

    /// Whether the loss is a sum over pairs; one that is not is asked for all pairs at once.
    fn in_chunks(&self) -> bool {
        true
    }
}
