//! The rows of a batch.

use embtune_tensors::{Column, Hashes, Shard};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use crate::cli::LossArgs;
use crate::false_negatives::FalseNegatives;
use crate::loss::{Guide, Targets};
use crate::shards::Shards;

/// Pairs as rows: all anchors, then all positives, then all negatives. Anchor `i` asks for document `i`.
pub(crate) struct Batch<'a> {
    /// Token ids of every row.
    pub(crate) rows: Vec<Vec<u32>>,
    /// Number of pairs.
    pub(crate) pairs: usize,
    /// Where each row comes from.
    places: Vec<Place<'a>>,
    /// Pair that each document belongs to.
    owners: Vec<usize>,
}

/// A row of a shard.
#[derive(Clone, Copy)]
struct Place<'a> {
    shard: &'a Shard,
    column: Column,
    row: usize,
}

impl Place<'_> {
    fn hashes(&self) -> Hashes {
        self.shard.hashes(self.column, self.row)
    }
}

impl<'a> Batch<'a> {
    pub(crate) fn gather(shards: &'a Shards, pairs: &[usize]) -> Self {
        let found: Vec<_> = pairs.iter().map(|pair| shards.find(*pair)).collect();
        let column = |column| found.iter().map(move |(shard, row)| Place { shard: *shard, column, row: *row });
        let mut places: Vec<Place<'_>> = column(Column::Anchor).chain(column(Column::Positive)).collect();
        let mut owners: Vec<usize> = (0..pairs.len()).collect();
        for (owner, (shard, pair)) in found.iter().enumerate() {
            for row in shard.negatives(*pair) {
                places.push(Place { shard: *shard, column: Column::Negative, row });
                owners.push(owner);
            }
        }
        let rows = places.iter().map(|place| place.shard.tokens(place.column, place.row)).collect();
        Self { rows, pairs: pairs.len(), places, owners }
    }

    /// The pair that a row belongs to.
    pub(crate) fn pair(&self, row: usize) -> usize {
        row.checked_sub(self.pairs).map_or(row, |document| self.owners[document])
    }

    /// Number of tokens of all rows.
    pub(crate) fn tokens(&self) -> u64 {
        self.rows.iter().map(|row| row.len() as u64).sum()
    }

    /// What a loss knows of the rows.
    ///
    /// # Errors
    /// What libtorch says.
    pub(crate) fn targets(&self, loss: &LossArgs, device: Device) -> Result<Targets, TorchError> {
        let (anchors, documents) = self.places.split_at(self.pairs);
        let hashes = |places: &[Place<'_>]| places.iter().map(Place::hashes).collect::<Vec<_>>();
        let score = |place: &Place<'_>| place.shard.score(place.column, place.row);
        let guide = |places: &[Place<'_>]| {
            let vectors: Vec<f32> =
                places.iter().flat_map(|place| place.shard.guide(place.column, place.row)).collect();
            Ok::<_, TorchError>(Tensor::f_from_slice(&vectors)?.f_view([places.len() as i64, -1])?.f_to_device(device)?)
        };
        Ok(Targets {
            pairs: self.pairs,
            owners: self.owners.clone(),
            false_negatives: if loss.no_mask {
                FalseNegatives::none()
            } else {
                FalseNegatives::find(&hashes(anchors), &hashes(documents))
            },
            // All of them, or the loss takes none.
            scores: if loss.reads_scores() { documents.iter().map(score).collect() } else { None },
            guide: if loss.reads_guide() { Some(Guide::new(&guide(anchors)?, &guide(documents)?)?) } else { None },
        })
    }
}
