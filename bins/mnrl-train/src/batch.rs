//! The rows of a batch, and which of them may be each other's negatives.

use embtune_tensors::{Column, Hashes, Shard};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use crate::shards::Shards;

/// Pairs as rows: all anchors, then all positives, then all negatives. Anchor `i` asks for document `i`.
pub(crate) struct Batch<'a> {
    /// Token ids of every row.
    pub(crate) rows: Vec<Vec<u32>>,
    /// Number of pairs.
    pub(crate) pairs: usize,
    /// Where every row comes from.
    places: Vec<Place<'a>>,
    anchors: Vec<Hashes>,
    documents: Vec<Hashes>,
    /// Pair that each document belongs to.
    #[cfg_attr(not(test), expect(dead_code, reason = "the losses ask for it"))]
    owners: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    shard: &'a Shard,
    column: Column,
    row: usize,
}

impl<'a> Batch<'a> {
    /// Reads the tokens and hashes of these pairs.
    pub(crate) fn gather(shards: &'a Shards, pairs: &[usize]) -> Self {
        let found: Vec<_> = pairs.iter().map(|pair| shards.find(*pair)).collect();
        let mut owners: Vec<usize> = (0..pairs.len()).collect();
        let mut places = Vec::with_capacity(2 * pairs.len());
        for column in [Column::Anchor, Column::Positive] {
            places.extend(found.iter().map(|(shard, row)| Place { shard, column, row: *row }));
        }
        for (owner, (shard, row)) in found.iter().enumerate() {
            let negatives = shard.negatives(*row);
            owners.extend(negatives.clone().map(|_| owner));
            places.extend(negatives.map(|row| Place { shard, column: Column::Negative, row }));
        }
        let rows = places.iter().map(|place| place.shard.tokens(place.column, place.row)).collect();
        let hashes = |place: &Place<'_>| place.shard.hashes(place.column, place.row);
        let (anchors, documents) = places.split_at(pairs.len());
        let (anchors, documents) = (anchors.iter().map(hashes).collect(), documents.iter().map(hashes).collect());
        Self { rows, pairs: pairs.len(), places, anchors, documents, owners }
    }

    /// `[documents]`: the score of each document for its pair's anchor, when all of this batch have one.
    #[cfg_attr(not(test), expect(dead_code, reason = "the losses ask for it"))]
    pub(crate) fn scores(&self) -> Option<Vec<f32>> {
        self.places[self.pairs..].iter().map(|place| place.shard.score(place.column, place.row)).collect()
    }

    /// `[rows, size]`, row by row: the guide model's vector of every row; nothing when the shards have none.
    #[cfg_attr(not(test), expect(dead_code, reason = "the losses ask for it"))]
    pub(crate) fn guide(&self) -> Vec<f32> {
        let vectors: Vec<_> = self.places.iter().map(|place| place.shard.guide(place.column, place.row)).collect();
        vectors.concat()
    }

    /// Number of tokens of all rows.
    pub(crate) fn tokens(&self) -> u64 {
        self.rows.iter().map(|row| row.len() as u64).sum()
    }

    /// Which document must not count as a negative of which anchor, bool `[pairs, documents]`, and how many; nothing
    /// when all may.
    ///
    /// A document is no negative of an anchor when it is, by text, id or group, the anchor's own positive, when it is
    /// the anchor itself, or when it is the positive of another pair with the same anchor.
    pub(crate) fn mask(&self, device: Device) -> Result<(Option<Tensor>, u64), TorchError> {
        let mut mask = vec![false; self.pairs * self.documents.len()];
        let mut count = 0;
        for (anchor, row) in mask.chunks_exact_mut(self.documents.len().max(1)).enumerate() {
            for (document, masked) in row.iter_mut().enumerate() {
                *masked = document != anchor && self.is_false_negative(anchor, document);
                count += u64::from(*masked);
            }
        }
        if count == 0 {
            return Ok((None, 0));
        }
        let shape = [self.pairs as i64, self.documents.len() as i64];
        Ok((Some(Tensor::f_from_slice(&mask)?.f_view(shape)?.f_to_device(device)?), count))
    }

    fn is_false_negative(&self, anchor: usize, document: usize) -> bool {
        let (own, other) = (self.documents[anchor], self.documents[document]);
        let known = |a: u64, b: u64| a != 0 && a == b;
        let is_positive_of_same_anchor =
            document < self.pairs && known(self.anchors[anchor].text, self.anchors[document].text);
        is_positive_of_same_anchor
            || known(own.text, other.text)
            || known(own.document, other.document)
            || known(own.group, other.group)
            || known(self.anchors[anchor].text, other.text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use embtune_tensors::{Row, ShardMeta, ShardWriter};

    use super::*;
    use crate::shards::Source;

    /// A shard of pairs whose tokens, hashes, scores and vectors all come from one number: 10 · the pair's, plus 0 for
    /// the anchor, 1 for the positive and 2, 3 and so on for the negatives.
    fn shard(directory: &Path, pairs: &[(u16, u16)], guide: Option<&str>, scored: bool) -> Source {
        let mut writer = ShardWriter::new(directory, guide.map(|_| 2)).unwrap();
        for (pair, negatives) in pairs {
            let numbers: Vec<u32> = (0..2 + negatives).map(|text| u32::from(10 * pair + text)).collect();
            let vectors: Vec<[f32; 2]> =
                numbers.iter().map(|number| [0.0, if number % 2 == 0 { 1.0 } else { -1.0 }]).collect();
            let mut rows = numbers.iter().zip(&vectors).map(|(number, vector)| Row {
                tokens: std::slice::from_ref(number),
                hashes: Hashes { text: u64::from(*number), ..Hashes::default() },
                score: scored.then_some(*number as f32),
                guide: if guide.is_some() { vector } else { &[] },
            });
            let (anchor, positive) = (rows.next().unwrap(), rows.next().unwrap());
            writer.push(anchor, positive, rows).unwrap();
        }
        let meta = ShardMeta {
            version: 0, // set by the writer
            tokenizer: String::new(),
            vocab_size: 1000,
            query_prompt: String::new(),
            document_prompt: String::new(),
            query_max_length: 1,
            document_max_length: 1,
            truncated: 0,
            guide: guide.map(str::to_owned),
        };
        let mut file = tempfile::NamedTempFile::new_in(directory).unwrap();
        writer.finish(meta, file.as_file_mut()).unwrap();
        Source { shard: Shard::open(file.path()).unwrap(), name: "s".into() }
    }

    fn shards(parts: &[(&[(u16, u16)], Option<&str>, bool)]) -> Shards {
        let directory = tempfile::tempdir().unwrap();
        let set = |(pairs, guide, scored): &(&[(u16, u16)], Option<&str>, bool)| {
            (vec![shard(directory.path(), pairs, *guide, *scored)], 1.0)
        };
        Shards::new(parts.iter().map(set).collect())
    }

    #[test]
    fn rows_are_anchors_then_positives_then_negatives() {
        let shards =
            shards(&[(&[(0, 0), (1, 2)], Some("g"), true), (&[], Some("g"), true), (&[(2, 1)], Some("g"), true)]);
        let batch = Batch::gather(&shards, &[2, 1, 0]);
        assert_eq!(batch.rows.concat(), [20, 10, 0, 21, 11, 1, 22, 12, 13]);
        assert_eq!((batch.pairs, batch.owners.as_slice()), (3, &[0, 1, 2, 0, 1, 1][..]));
        let texts = |hashes: &[Hashes]| hashes.iter().map(|hashes| hashes.text).collect::<Vec<_>>();
        assert_eq!((texts(&batch.anchors), texts(&batch.documents)), (vec![20, 10, 0], vec![21, 11, 1, 22, 12, 13]));
        assert_eq!(batch.scores().unwrap(), [21.0, 11.0, 1.0, 22.0, 12.0, 13.0]);
        let signs: Vec<f32> = batch.guide().chunks(2).map(|vector| vector[1]).collect();
        assert_eq!(signs, [1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0]);
    }

    #[test]
    fn what_shards_lack_is_known() {
        let whole = shards(&[(&[(0, 0), (1, 2)], Some("g"), true), (&[(2, 0)], Some("g"), true)]);
        assert_eq!((whole.has_negatives(), whole.first_without_scores()), (true, None));
        assert_eq!(whole.guide_dimension().unwrap(), Some(2));
        let plain = shards(&[(&[(0, 0)], Some("g"), true), (&[(1, 0)], None, false)]);
        assert_eq!((plain.has_negatives(), plain.first_without_scores()), (false, Some("s: pair 1".into())));
        assert_eq!(plain.guide_dimension().unwrap(), None);
        let batch = Batch::gather(&plain, &[0, 1]);
        assert_eq!(batch.scores(), None);
        let other = shards(&[(&[(0, 0)], Some("g"), false), (&[(1, 0)], Some("h"), false)]);
        let message = other.guide_dimension().unwrap_err().to_string();
        assert_eq!(message, "s and s have the vectors of different guide models");
    }
}
