//! The inputs of a loss besides the vectors: labels, scores and masks.

use std::ops::Range;

use embtune_torch::tch::{Device, Tensor};
use embtune_torch::{TorchError, normalize};

use super::{Direction, FalseNegatives};

/// The inputs of a loss for one batch besides the vectors.
pub(crate) struct Targets {
    /// Number of pairs.
    pub(crate) pairs: usize,
    /// `[documents]`: the pair that each document belongs to; the first `pairs` documents are the positives, in order.
    pub(crate) owners: Vec<usize>,
    /// Rows that must not be each other's negatives.
    pub(crate) false_negatives: FalseNegatives,
    /// `[documents]`: score or label of the document for its pair's anchor.
    pub(crate) scores: Option<Vec<f32>>,
    /// The guide model's vectors.
    pub(crate) guide: Option<Guide>,
}

/// A guide model's vectors of the batch's rows, of length 1.
pub(crate) struct Guide {
    /// `[pairs, size]`
    pub(crate) anchors: Tensor,
    /// `[documents, size]`
    pub(crate) documents: Tensor,
}

impl Guide {
    /// Normalises vectors, f32, on the loss's device.
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn new(anchors: &Tensor, documents: &Tensor) -> Result<Self, TorchError> {
        Ok(Self { anchors: normalize(anchors)?, documents: normalize(documents)? })
    }
}

impl Targets {
    /// The documents of some pairs, each with its pair.
    pub(crate) fn own(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let documents = self.owners.iter().copied().enumerate().filter(move |(_, owner)| rows.contains(owner));
        documents.map(|(document, owner)| (owner, document))
    }

    /// The negatives of some pairs, each with its pair.
    pub(crate) fn own_negatives(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        self.own(rows).filter(|(_, document)| *document >= self.pairs)
    }

    /// The negatives of some pairs without the false ones, each with its pair.
    pub(crate) fn true_negatives(&self, rows: Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        self.own_negatives(rows).filter(|(pair, document)| !self.false_negatives.contains(*pair, *document))
    }

    /// Number of negatives that are false negatives of their own pairs.
    pub(crate) fn false_own_negatives(&self) -> u64 {
        let all = 0..self.pairs;
        (self.own_negatives(all.clone()).count() - self.true_negatives(all).count()) as u64
    }

    /// The scores.
    ///
    /// # Errors
    /// The batch has none.
    pub(crate) fn scores(&self) -> Result<&[f32], TorchError> {
        self.scores.as_deref().ok_or_else(|| TorchError::new("the loss needs scores, but the batch has none"))
    }

    /// The candidates that are excluded for some pairs' rows, bool `[rows, columns]`, or `None` if there are none:
    /// false negatives, an anchor compared with itself (q2q), a positive with the documents of its own pair (d2d).
    ///
    /// # Errors
    /// An error of libtorch.
    pub(crate) fn excluded(
        &self,
        direction: Direction,
        rows: Range<usize>,
        columns: usize,
        device: Device,
    ) -> Result<Option<Tensor>, TorchError> {
        let (marks, any) = self.marks(direction, rows, columns);
        if any {
            Ok(Some(Tensor::f_from_slice(&marks)?.f_view([-1, columns as i64])?.f_to_device(device)?))
        } else {
            Ok(None)
        }
    }

    /// Whether any row has a candidate besides its own positive.
    pub(crate) fn has_negative(&self, direction: Direction, columns: usize) -> bool {
        (0..self.pairs).any(|row| {
            let (mut marks, _) = self.marks(direction, row..row + 1, columns);
            marks[row] = true;
            marks.contains(&false)
        })
    }

    /// The entries of [`excluded`](Self::excluded), and whether any is set.
    fn marks(&self, direction: Direction, rows: Range<usize>, columns: usize) -> (Vec<bool>, bool) {
        let mut marks = vec![false; rows.len() * columns];
        if !direction.has_positive() {
            let own = self.own(rows.clone()).filter(|(_, document)| *document < columns);
            own.for_each(|(pair, document)| marks[(pair - rows.start) * columns + document] = true);
        }
        let any = self.false_negatives.mark(direction, rows, columns, &mut marks);
        (marks, any || !direction.has_positive())
    }
}
