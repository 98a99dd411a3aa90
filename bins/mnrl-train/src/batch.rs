//! The rows of a batch, and which of them may be each other's negatives.

use embtune_tensors::{Column, Hashes};
use embtune_torch::TorchError;
use embtune_torch::tch::{Device, Tensor};

use crate::shards::Shards;

/// Pairs as rows: all anchors, then all positives, then all negatives. Anchor `i` asks for document `i`.
pub(crate) struct Batch {
    /// Token ids of every row.
    pub(crate) rows: Vec<Vec<u32>>,
    /// Number of pairs.
    pub(crate) pairs: usize,
    anchors: Vec<Hashes>,
    documents: Vec<Hashes>,
    /// Pair that each document belongs to.
    owners: Vec<usize>,
}

impl Batch {
    pub(crate) fn gather(shards: &Shards, pairs: &[usize]) -> Self {
        let places: Vec<_> = pairs.iter().map(|pair| shards.find(*pair)).collect();
        let mut batch = Self {
            rows: Vec::new(),
            pairs: pairs.len(),
            anchors: Vec::new(),
            documents: Vec::new(),
            owners: Vec::new(),
        };
        for (shard, row) in &places {
            batch.rows.push(shard.tokens(Column::Anchor, *row));
            batch.anchors.push(shard.hashes(Column::Anchor, *row));
        }
        for (owner, (shard, row)) in places.iter().enumerate() {
            batch.push_document(owner, shard.tokens(Column::Positive, *row), shard.hashes(Column::Positive, *row));
        }
        for (owner, (shard, row)) in places.iter().enumerate() {
            for negative in shard.negatives(*row) {
                let tokens = shard.tokens(Column::Negative, negative);
                batch.push_document(owner, tokens, shard.hashes(Column::Negative, negative));
            }
        }
        batch
    }

    fn push_document(&mut self, owner: usize, tokens: Vec<u32>, hashes: Hashes) {
        self.rows.push(tokens);
        self.documents.push(hashes);
        self.owners.push(owner);
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
