//! The training objective: from vectors to the gradient of a loss.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use embtune_cli::value_name;
use embtune_torch::tch::{Kind, Tensor};
use embtune_torch::{TorchError, normalize};
use serde_json::{Map, Value, json};

use super::{Chunk, Loss, Targets};

/// Entries of an anchor by document matrix that are computed at once: 16 MB for each of a handful of matrices.
const CHUNK_ENTRIES: usize = 4 << 20;

/// The losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LossKind {
    /// Each anchor is to be closest to its positive among all documents of the batch
    #[default]
    Mnrl,
    /// mnrl, and each positive should be closest to its anchor among all anchors of the batch
    Symmetric,
    /// The positive should be closer to the anchor than each of the pair's negatives, by a margin
    Triplet,
    /// The positive should be close to the anchor and the pair's negatives far away; the shard's scores are used as
    /// labels if all of them are 1, for close, or 0, for far
    Contrastive,
    /// The similarities of anchors with their positives and negatives should have the order of the shard's scores
    Cosent,
    /// The similarity to the positive minus that to each of the pair's negatives should equal that of the shard's
    /// scores
    MarginMse,
    /// mnrl without the negatives that a guide model, whose vectors are in the shard, finds closer than the positive
    Gist,
}

/// A loss on whole vectors, or the sum of the loss over vectors that are truncated to several sizes and normalised
/// again (Kusupati et al. 2022; sentence-transformers `losses/matryoshka.py`).
pub(crate) struct Objective {
    pub(crate) kind: LossKind,
    pub(crate) loss: Box<dyn Loss>,
    /// Sizes of Matryoshka representation learning; empty for whole vectors only.
    pub(crate) sizes: Vec<i64>,
    /// Whether false negatives are kept.
    pub(crate) no_mask: bool,
}

/// Bytes that the loss of this many pairs and documents needs: a handful of matrices of one chunk.
pub(crate) fn bytes(pairs: usize, documents: usize) -> u64 {
    6 * 4 * (pairs * documents).min(CHUNK_ENTRIES) as u64
}

impl Objective {
    /// The value of `--loss`.
    pub(crate) fn name(&self) -> String {
        value_name(self.kind)
    }

    /// All values by the names of their flags, as a checkpoint stores them.
    pub(crate) fn values(&self) -> Map<String, Value> {
        let own = [json!({"--loss": self.name()}), self.loss.values()];
        let all = own.into_iter().chain([json!({"--matryoshka": self.sizes, "--no-mask": self.no_mask})]);
        all.filter_map(|values| values.as_object().cloned()).flatten().collect()
    }

    /// A warning for a training that leaves whole vectors of this size out.
    pub(crate) fn warning(&self, size: usize) -> Option<String> {
        let largest = *self.sizes.first()?;
        (largest < size as i64).then(|| {
            format!(
                "--matryoshka trains vectors truncated to {largest}, not whole ones\nhint: put {size} first to train them too"
            )
        })
    }

    /// The loss of a batch. The gradient goes through the graph of `anchors` and `documents`, which must both require
    /// it, in one backward pass. Anchors are processed in chunks, so that no matrix of all anchors by all documents is
    /// held in memory.
    ///
    /// # Shapes
    /// - `anchors`: `[pairs, size]`, f32
    /// - `documents`: `[documents, size]`, f32; document `i` is the positive of anchor `i`, the others are negatives
    /// - output: `[]`, without a graph
    ///
    /// # Errors
    /// An error of libtorch, or targets that lack a column that the loss needs.
    pub(crate) fn backward(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
    ) -> Result<Tensor, TorchError> {
        self.backward_by((CHUNK_ENTRIES / targets.owners.len().max(1)).max(1), anchors, documents, targets)
    }

    /// [`backward`](Self::backward) with this number of anchors per chunk.
    pub(super) fn backward_by(
        &self,
        chunk: usize,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
    ) -> Result<Tensor, TorchError> {
        let loss = &self.loss;
        let chunk = if loss.in_chunks() { chunk } else { targets.pairs };
        let mut total = Tensor::f_zeros([], (Kind::Float, anchors.device()))?;
        let mut surrogate = total.shallow_clone();
        let whole = [anchors.size()[1]];
        for &size in if self.sizes.is_empty() { whole.as_slice() } else { &self.sizes } {
            let shaped = [self.shape(anchors, size)?, self.shape(documents, size)?];
            let leaf = |x: &Tensor| x.f_detach()?.f_set_requires_grad(true);
            let leaves = [leaf(&shaped[0])?, leaf(&shaped[1])?];
            for start in (0..targets.pairs).step_by(chunk) {
                let rows = start..targets.pairs.min(start + chunk);
                let share = loss.chunk(Chunk { anchors: &leaves[0], documents: &leaves[1], targets, rows })?;
                share.f_backward()?;
                total = total.f_add(&share.f_detach()?)?;
            }
            for (shaped, leaf) in shaped.iter().zip(&leaves) {
                surrogate = surrogate.f_add(&shaped.f_mul(&leaf.f_grad()?)?.f_sum(None)?)?;
            }
        }
        surrogate.f_backward()?;
        Ok(total)
    }

    /// The vectors as the loss expects them at a size, `[rows, size]`.
    fn shape(&self, x: &Tensor, size: i64) -> Result<Tensor, TorchError> {
        let cut = x.f_narrow(1, 0, size)?;
        let normalizes = self.loss.on_unit_vectors() || !self.sizes.is_empty();
        if normalizes { normalize(&cut) } else { Ok(cut) }
    }
}

impl Display for Objective {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.loss.description())?;
        if !self.sizes.is_empty() {
            let sizes = self.sizes.iter().map(i64::to_string).collect::<Vec<_>>();
            write!(f, ", Matryoshka at {}", sizes.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::LossArgs;

    #[test]
    fn truncated_vectors_alone_are_worth_a_warning() {
        let warning = |flags| LossArgs::parse(flags).unwrap().objective(384).unwrap().warning(384);
        assert!(warning("--matryoshka 256,128").unwrap().contains("put 384 first"));
        assert_eq!(warning("--matryoshka 384,128"), None);
        assert_eq!(warning(""), None);
    }
}
