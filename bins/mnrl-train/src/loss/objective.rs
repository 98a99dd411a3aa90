//! From vectors to the gradient of a loss.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::{Kind, Tensor};

use super::vectors::unit;
use super::{Loss, Targets};

/// Entries of an anchor by document matrix that are computed at once: 16 MB each for a handful of matrices.
const CHUNK_ENTRIES: usize = 4 << 20;

/// A loss, on vectors as they are or cut to several sizes.
pub(crate) struct Objective {
    loss: Box<dyn Loss>,
    /// Sizes of Matryoshka representation learning; none is the whole vector only.
    sizes: Vec<i64>,
}

/// Bytes that the loss of this many pairs and documents takes: a handful of matrices of a chunk.
pub(crate) fn bytes(pairs: usize, documents: usize) -> u64 {
    6 * 4 * (pairs * documents).min(CHUNK_ENTRIES) as u64
}

impl Objective {
    /// A loss that is the sum over vectors cut to each of `sizes` and normalised again, or over whole vectors when
    /// there are none (Kusupati et al. 2022; sentence-transformers `losses/matryoshka.py`).
    pub(crate) fn new(loss: Box<dyn Loss>, sizes: Vec<i64>) -> Self {
        Self { loss, sizes }
    }

    /// The loss of a batch; its gradient goes through the graph of `anchors` and `documents`, which both require it,
    /// in one backward pass. Anchors are taken in chunks, so that no matrix of all anchors by all documents is held.
    ///
    /// # Shapes
    /// - `anchors`: `[pairs, size]`, f32
    /// - `documents`: `[documents, size]`, f32; document `i` is the positive of anchor `i`, the rest are negatives
    /// - output: `[]`, without a graph
    ///
    /// # Errors
    /// What libtorch says; targets that lack what the loss reads.
    pub(crate) fn backward(
        &self,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
    ) -> Result<Tensor, TorchError> {
        self.backward_by((CHUNK_ENTRIES / targets.owners.len().max(1)).max(1), anchors, documents, targets)
    }

    /// [`backward`](Self::backward) with a number of anchors a chunk.
    pub(super) fn backward_by(
        &self,
        chunk: usize,
        anchors: &Tensor,
        documents: &Tensor,
        targets: &Targets,
    ) -> Result<Tensor, TorchError> {
        let chunk = if self.loss.in_chunks() { chunk } else { targets.pairs };
        let mut total = Tensor::f_zeros([], (Kind::Float, anchors.device()))?;
        let mut surrogate = total.shallow_clone();
        let whole = [anchors.size()[1]];
        for &size in if self.sizes.is_empty() { whole.as_slice() } else { &self.sizes } {
            let shaped = [self.shape(anchors, size)?, self.shape(documents, size)?];
            let leaf = |x: &Tensor| x.f_detach()?.f_set_requires_grad(true);
            let leaves = [leaf(&shaped[0])?, leaf(&shaped[1])?];
            for start in (0..targets.pairs).step_by(chunk) {
                let rows: Range<usize> = start..targets.pairs.min(start + chunk);
                let share = self.loss.chunk(&leaves[0], &leaves[1], targets, rows)?;
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

    /// Number of negatives of the batch that do not count because they are false ones.
    pub(crate) fn masked(&self, targets: &Targets) -> u64 {
        self.loss.masked(targets)
    }

    /// Whether there is anything in the batch to compare.
    ///
    /// # Errors
    /// What libtorch says; targets that lack what the loss reads.
    pub(crate) fn compares(&self, targets: &Targets) -> Result<bool, TorchError> {
        self.loss.compares(targets)
    }

    /// The vectors as the loss is to see them at a size, `[rows, size]`.
    fn shape(&self, x: &Tensor, size: i64) -> Result<Tensor, TorchError> {
        let cut = x.f_narrow(1, 0, size)?;
        if self.loss.on_unit_vectors() || !self.sizes.is_empty() { unit(&cut) } else { Ok(cut) }
    }
}

impl Display for Objective {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.loss)?;
        if !self.sizes.is_empty() {
            let sizes = self.sizes.iter().map(i64::to_string).collect::<Vec<_>>();
            write!(f, ", Matryoshka at {}", sizes.join(", "))?;
        }
        Ok(())
    }
}
