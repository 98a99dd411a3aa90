//! The rows of a batch.

use embtune_tensors::{Column, Hashes};

use crate::false_negatives::FalseNegatives;
use crate::loss::Targets;
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

    /// The pair that a row belongs to.
    pub(crate) fn pair(&self, row: usize) -> usize {
        row.checked_sub(self.pairs).map_or(row, |document| self.owners[document])
    }

    /// Number of tokens of all rows.
    pub(crate) fn tokens(&self) -> u64 {
        self.rows.iter().map(|row| row.len() as u64).sum()
    }

    /// What the loss knows of the rows.
    pub(crate) fn targets(&self, mask: bool) -> Targets {
        Targets {
            pairs: self.pairs,
            owners: self.owners.clone(),
            false_negatives: if mask {
                FalseNegatives::find(&self.anchors, &self.documents)
            } else {
                FalseNegatives::none()
            },
            scores: None,
            guide: None,
        }
    }
}
