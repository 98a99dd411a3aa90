//! Losses, each with the formula and the defaults of sentence-transformers 6.0.1.
//!
//! A new loss is a file beside these that implements [`Loss`], and a variant of
//! [`LossKind`](objective::LossKind).

mod args;
mod contrastive;
mod cosent;
mod direction;
mod false_negatives;
mod gist;
mod margin_mse;
mod mnrl;
mod needs;
mod objective;
#[cfg(test)]
mod parity;
mod shared_args;
mod targets;
#[cfg(test)]
mod tests;
mod triplet;
mod vectors;

use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::Tensor;
use serde_json::Value;

pub(crate) use args::LossArgs;
pub(crate) use direction::Direction;
pub(crate) use false_negatives::FalseNegatives;
pub(crate) use needs::{Needs, Scores, ShardColumns};
pub(crate) use objective::{Objective, bytes};
pub(crate) use targets::{Guide, Targets};

/// Some pairs of a batch, and everything that they are compared with.
#[derive(Clone)]
pub(crate) struct Chunk<'a> {
    /// `[pairs, size]`, f32
    pub(crate) anchors: &'a Tensor,
    /// `[documents, size]`, f32; document `i` is the positive of anchor `i`, the others are negatives
    pub(crate) documents: &'a Tensor,
    pub(crate) targets: &'a Targets,
    /// The pairs.
    pub(crate) rows: Range<usize>,
}

/// A loss of a batch's vectors.
pub(crate) trait Loss {
    /// The flags that the loss has, except --matryoshka, which works with every loss.
    fn flags(&self) -> &'static [&'static str];

    /// All values by the names of their flags, as a checkpoint stores them, so that it can say which one has changed.
    fn values(&self) -> Value;

    /// The loss in the model card.
    fn description(&self) -> String;

    /// What the loss reads of the shards besides token ids.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// The share of some pairs in the batch's loss: the shares of all pairs add up to it.
    ///
    /// # Shapes
    /// - output: `[]`
    ///
    /// # Errors
    /// libtorch's own, or targets that lack what the loss needs.
    fn chunk(&self, chunk: Chunk<'_>) -> Result<Tensor, TorchError>;

    /// Whether [`chunk`](Self::chunk) expects vectors of length 1, as a loss on cosines does.
    fn on_unit_vectors(&self) -> bool {
        true
    }

    /// Whether a search compares vectors of the trained model by cosine, otherwise by dot product.
    fn searches_by_cosine(&self) -> bool {
        self.on_unit_vectors()
    }

    /// Number of negatives of the batch that are excluded as false negatives.
    fn masked(&self, targets: &Targets) -> u64 {
        targets.false_negatives.count
    }

    /// Whether the batch has anything to compare. If it has not, the loss is 0 whatever the vectors are.
    ///
    /// # Errors
    /// An error of libtorch, or targets that lack a column that the loss needs.
    fn compares(&self, targets: &Targets) -> Result<bool, TorchError>;

    /// Explains to the user why no batch had anything to compare, with a hint.
    fn nothing_compared(&self) -> &'static str {
        "no step had a negative, so nothing was learnt\n\
         hint: the negatives of a pair are the other pairs of its batch, except those that share a text, an id or a group with it; raise --batch-size, train on pairs of more documents, or add negatives with mine-negatives"
    }

    /// Whether the loss is a sum over pairs. If not, it is computed over all pairs at once.
    fn in_chunks(&self) -> bool {
        true
    }
}

/// The message of [`Loss::nothing_compared`] for losses that compare a pair with its own negatives only.
const NO_OWN_NEGATIVES: &str = "no step had a negative, so nothing was learnt\n\
     hint: the negatives of a pair come with it, except those that share a text, an id or a group with its positive; mine-negatives adds some";
