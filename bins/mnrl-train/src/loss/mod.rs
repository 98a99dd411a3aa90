//! Losses, each to the formula and the defaults of sentence-transformers 6.0.1.

mod contrastive;
mod cosent;
mod direction;
mod gist;
mod margin_mse;
mod mnrl;
mod objective;
#[cfg(test)]
mod parity;
mod targets;
#[cfg(test)]
mod tests;
mod triplet;
mod vectors;

use std::fmt::Display;
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;

pub(crate) use contrastive::Contrastive;
pub(crate) use cosent::CoSent;
pub(crate) use direction::Direction;
pub(crate) use gist::{Gist, MarginStrategy};
pub(crate) use margin_mse::MarginMse;
pub(crate) use mnrl::{Hardness, HardnessMode, Mnrl, Partition};
pub(crate) use objective::{Objective, bytes};
pub(crate) use targets::{Guide, Targets};
pub(crate) use triplet::{Distance, Triplet};
pub(crate) use vectors::unit;

/// A loss of a batch's vectors, displayed as the model card has it.
pub(crate) trait Loss: Display {
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

    /// Number of negatives of the batch that do not count because they are false ones.
    fn masked(&self, targets: &Targets) -> u64;

    /// Whether there is anything in the batch to compare: in one where there is not, the loss is 0 whatever the vectors.
    ///
    /// # Errors
    /// What libtorch says; targets that lack what the loss reads.
    fn compares(&self, targets: &Targets) -> Result<bool, TorchError>;

    /// Whether the loss is a sum over pairs; one that is not is asked for all pairs at once.
    fn in_chunks(&self) -> bool {
        true
    }
}
