//! The pairs of one set, as often as its weight requires.

use std::ops::Range;

use rand::seq::SliceRandom as _;

use super::generator;

/// A sequence of shuffled passes over a set; each epoch takes the next `weight` passes.
///
/// With a weight of 2, each epoch sees every pair twice, in two orders; with 0.5, one epoch sees a random half and the
/// next epoch the other. At any time, no pair has been seen more than once more often than another.
pub(crate) struct Passes {
    pub(super) pairs: Range<usize>,
    pub(super) weight: f64,
    pub(super) seed: u64,
    /// Number of the set, from 0.
    pub(super) set: u64,
}

impl Passes {
    /// Number of pairs that an epoch sees.
    pub(crate) fn pairs_in(&self, epoch: u32) -> u64 {
        let range = self.range(epoch);
        range.end - range.start
    }

    /// The pairs that an epoch sees, in their order.
    pub(crate) fn epoch(&self, epoch: u32) -> Vec<usize> {
        let range = self.range(epoch);
        let size = self.pairs.len() as u64;
        let mut order = Vec::with_capacity((range.end - range.start) as usize);
        let mut next = range.start;
        while next < range.end {
            let (pass, begin) = (next / size, next % size);
            let end = size.min(begin + range.end - next);
            order.extend_from_slice(&self.shuffled(pass)[begin as usize..end as usize]);
            next += end - begin;
        }
        order
    }

    /// The positions of an epoch in the sequence of all passes, rounded so that no pair is lost between epochs.
    fn range(&self, epoch: u32) -> Range<u64> {
        let until = |epochs: f64| (epochs * self.weight * self.pairs.len() as f64).round() as u64;
        until(f64::from(epoch))..until(f64::from(epoch) + 1.0)
    }

    fn shuffled(&self, pass: u64) -> Vec<usize> {
        let mut order: Vec<usize> = self.pairs.clone().collect();
        order.shuffle(&mut generator(self.seed, 1 + self.set, pass));
        order
    }
}
