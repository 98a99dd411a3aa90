//! The rows of a batch.

use embtune_tensors::{Column, Hashes, Shard, TensorsError};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use super::shards::Shards;
use crate::loss::{FalseNegatives, Guide, Objective, Scores, Targets};

/// Pairs as rows: all anchors, then all positives, then all negatives. Document `i` is the positive of anchor `i`.
pub(crate) struct Batch<'a> {
    /// Number of tokens of every row.
    pub(crate) lengths: Vec<usize>,
    /// Number of pairs.
    pub(crate) pairs: usize,
    /// Where each row comes from.
    places: Vec<Place<'a>>,
    /// The pair that each document belongs to.
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
        let column = |column| found.iter().map(move |(shard, row)| Place { shard, column, row: *row });
        let mut places: Vec<Place<'_>> = column(Column::Anchor).chain(column(Column::Positive)).collect();
        let mut owners: Vec<usize> = (0..pairs.len()).collect();
        for (owner, (shard, pair)) in found.iter().enumerate() {
            for row in shard.negatives(*pair) {
                places.push(Place { shard, column: Column::Negative, row });
                owners.push(owner);
            }
        }
        let lengths = places.iter().map(|place| place.shard.length(place.column, place.row)).collect();
        Self { lengths, pairs: pairs.len(), places, owners }
    }

    /// Token ids of a row.
    ///
    /// # Errors
    /// A damaged row.
    pub(crate) fn row(&self, row: usize) -> Result<Vec<u32>, TensorsError> {
        let place = self.places[row];
        place.shard.tokens(place.column, place.row)
    }

    /// The pair that a row belongs to.
    pub(crate) fn pair(&self, row: usize) -> usize {
        row.checked_sub(self.pairs).map_or(row, |document| self.owners[document])
    }

    /// Number of tokens of all rows.
    pub(crate) fn tokens(&self) -> u64 {
        self.lengths.iter().map(|length| *length as u64).sum()
    }

    /// Labels and masks of the rows, for the loss.
    ///
    /// # Errors
    /// Damaged vectors of the guide, or an error of libtorch.
    pub(crate) fn targets(&self, objective: &Objective, device: Device) -> anyhow::Result<Targets> {
        let (anchors, documents) = self.places.split_at(self.pairs);
        let hashes = |places: &[Place<'_>]| places.iter().map(Place::hashes).collect::<Vec<_>>();
        let score = |place: &Place<'_>| place.shard.score(place.column, place.row);
        let guide = |places: &[Place<'_>]| {
            let vectors = places.iter().map(|place| place.shard.guide(place.column, place.row));
            let vectors = vectors.collect::<Result<Vec<_>, _>>()?.concat();
            let on_device = || Tensor::f_from_slice(&vectors)?.f_view([places.len() as i64, -1])?.f_to_device(device);
            anyhow::Ok(on_device().map_err(TorchError::from)?)
        };
        let needs = objective.loss.needs();
        let is_label = |score: &f32| [0.0, 1.0].contains(score);
        // All documents have a score, or none is used.
        let scores: Option<Vec<f32>> = match needs.scores {
            Scores::Unused => None,
            Scores::Required => documents.iter().map(score).collect(),
            Scores::Labels => documents.iter().map(|place| score(place).filter(is_label)).collect(),
        };
        Ok(Targets {
            pairs: self.pairs,
            owners: self.owners.clone(),
            false_negatives: if objective.no_mask {
                FalseNegatives::default()
            } else {
                FalseNegatives::find(&hashes(anchors), &hashes(documents))
            },
            scores,
            guide: if needs.guide { Some(Guide::new(&guide(anchors)?, &guide(documents)?)?) } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use embtune_tensors::{ShardMeta, ShardRow, ShardWriter};

    use super::*;
    use crate::data::shards::ShardFile;
    use crate::loss::LossArgs;

    /// A shard of pairs whose tokens, hashes, scores and vectors are derived from one number: ten times the pair's,
    /// plus 0 for the anchor, 1 for the positive and 2, 3 and so on for the negatives.
    fn shard(directory: &Path, pairs: &[(u16, u16)], guide: Option<&str>, scored: bool) -> ShardFile {
        let mut writer = ShardWriter::new(directory, guide.map(|_| 2)).unwrap();
        for (pair, negatives) in pairs {
            let numbers: Vec<u32> = (0..2 + negatives).map(|text| u32::from(10 * pair + text)).collect();
            let vectors: Vec<[f32; 2]> =
                numbers.iter().map(|number| [0.0, if number % 2 == 0 { 1.0 } else { -1.0 }]).collect();
            let mut rows = numbers.iter().zip(&vectors).map(|(number, vector)| ShardRow {
                tokens: std::slice::from_ref(number),
                hashes: Hashes { text: u64::from(*number), ..Hashes::default() },
                score: scored.then_some(*number as f32),
                guide: if guide.is_some() { vector } else { &[] },
            });
            let (anchor, positive) = (rows.next().unwrap(), rows.next().unwrap());
            writer.push(anchor, positive, rows).unwrap();
        }
        let meta = ShardMeta {
            vocab_size: 1000,
            query_max_length: 1,
            document_max_length: 1,
            guide: guide.map(str::to_owned),
            ..ShardMeta::default()
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).unwrap();
        writer.finish(meta, file.as_file_mut()).unwrap();
        ShardFile { shard: Shard::open(file.path()).unwrap(), name: "s".into() }
    }

    fn objective(flags: &str) -> Objective {
        LossArgs::parse(flags).unwrap().objective(8).unwrap()
    }

    /// Pairs with their number of negatives, the guide, whether there are scores.
    type Part<'a> = (&'a [(u16, u16)], Option<&'a str>, bool);

    fn shards(parts: &[Part<'_>]) -> Shards {
        let directory = tempfile::tempdir().unwrap();
        let set = |(pairs, guide, scored): &Part<'_>| (vec![shard(directory.path(), pairs, *guide, *scored)], 1.0);
        Shards::new(parts.iter().map(set).collect())
    }

    #[test]
    fn rows_are_anchors_then_positives_then_negatives() {
        let shards =
            shards(&[(&[(0, 0), (1, 2)], Some("g"), true), (&[], Some("g"), true), (&[(2, 1)], Some("g"), true)]);
        let batch = Batch::gather(&shards, &[2, 1, 0]);
        let rows: Vec<_> = (0..batch.lengths.len()).map(|row| batch.row(row).unwrap()).collect();
        assert_eq!(rows.concat(), [20, 10, 0, 21, 11, 1, 22, 12, 13]);
        assert_eq!(batch.lengths, [1; 9]);
        assert_eq!((batch.pairs, batch.owners.as_slice()), (3, &[0, 1, 2, 0, 1, 1][..]));
        let texts: Vec<_> = batch.places.iter().map(|place| place.hashes().text).collect();
        assert_eq!(texts, [20, 10, 0, 21, 11, 1, 22, 12, 13]);
        let scores = batch.targets(&objective("--loss cosent"), Device::Cpu).unwrap().scores;
        assert_eq!(scores.unwrap(), [21.0, 11.0, 1.0, 22.0, 12.0, 13.0]);
        let guide = batch.targets(&objective("--loss gist"), Device::Cpu).unwrap().guide.unwrap();
        let signs = |vectors: &Tensor| Vec::<f32>::try_from(vectors.select(1, 1).contiguous()).unwrap();
        assert_eq!(signs(&guide.anchors), [1.0, 1.0, 1.0]);
        assert_eq!(signs(&guide.documents), [-1.0, -1.0, -1.0, 1.0, 1.0, -1.0]);
    }

    #[test]
    fn missing_columns_are_recognised() {
        let whole = shards(&[(&[(0, 0), (1, 2)], Some("g"), true), (&[(2, 0)], Some("g"), true)]);
        let columns = whole.columns().unwrap();
        assert!(columns.negatives && columns.scores && columns.guide);
        let plain = shards(&[(&[(0, 0)], Some("g"), true), (&[(1, 0)], None, false)]);
        let columns = plain.columns().unwrap();
        assert!(!columns.negatives && !columns.scores && !columns.guide);
        let batch = Batch::gather(&plain, &[0, 1]);
        assert_eq!(batch.targets(&objective("--loss contrastive"), Device::Cpu).unwrap().scores, None);
        let other = shards(&[(&[(0, 0)], Some("g"), false), (&[(1, 0)], Some("h"), false)]);
        let message = other.columns().unwrap_err().to_string();
        assert_eq!(message, "s and s have the vectors of different guide models");
    }
}
