//! What a loss knows of a batch beside the vectors.

use std::ops::Range;

use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use super::Direction;
use super::vectors::unit;
use crate::data::false_negatives::FalseNegatives;

/// What a loss knows of a batch beside the vectors.
pub(crate) struct Targets {
    /// Number of pairs.
    pub(crate) pairs: usize,
    /// `[documents]`: pair that each document belongs to; the first `pairs` documents are the positives, in order.
    pub(crate) owners: Vec<usize>,
    /// What counts as no negative.
    pub(crate) false_negatives: FalseNegatives,
    /// `[documents]`: score or label of the document for its pair's anchor.
    pub(crate) scores: Option<Vec<f32>>,
    /// Vectors of the guide model.
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
    /// From vectors of any length, f32, on the loss's device.
    ///
    /// # Errors
    /// What libtorch says.
    pub(crate) fn new(anchors: &Tensor, documents: &Tensor) -> Result<Self, TorchError> {
        Ok(Self { anchors: unit(anchors)?, documents: unit(documents)? })
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

    /// The negatives of some pairs that are no false negatives, each with its pair.
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
    /// When there are none.
    pub(crate) fn scores(&self) -> Result<&[f32], TorchError> {
        self.scores.as_deref().ok_or_else(|| TorchError::new("the loss reads scores, the batch has none"))
    }

    /// What is no candidate of some pairs' rows, bool `[rows, columns]`, or nothing when all are: false negatives,
    /// an anchor beside itself (q2q), a positive beside the documents of its own pair (d2d).
    ///
    /// # Errors
    /// What libtorch says.
    pub(crate) fn excluded(
        &self,
        direction: Direction,
        rows: Range<usize>,
        columns: usize,
        device: Device,
    ) -> Result<Option<Tensor>, TorchError> {
        let (marks, any) = self.marks(direction, rows, columns);
        if any { to_mask(&marks, columns, device).map(Some) } else { Ok(None) }
    }

    /// Whether any row has a candidate beside its own positive.
    pub(crate) fn has_negative(&self, direction: Direction, columns: usize) -> bool {
        (0..self.pairs).any(|row| {
            let (mut marks, _) = self.marks(direction, row..row + 1, columns);
            marks[row] = true;
            marks.contains(&false)
        })
    }

    /// What [`excluded`](Self::excluded) has, and whether that is anything.
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

/// Bool `[rows, columns]`.
pub(crate) fn to_mask(marks: &[bool], columns: usize, device: Device) -> Result<Tensor, TorchError> {
    Ok(Tensor::f_from_slice(marks)?.f_view([-1, columns as i64])?.f_to_device(device)?)
}
