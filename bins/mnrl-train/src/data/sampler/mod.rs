//! The batches of every epoch.

mod collisions;
mod first_fit;
mod passes;
#[cfg(test)]
mod tests;

use std::ops::Range;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::cli::{BatchFrom, DataArgs};
use crate::data::shards::Shards;

use collisions::Collisions;
use first_fit::first_fit;
use passes::Passes;

/// Which pairs make up which batch.
///
/// The batches of an epoch depend on the data, the flags, the seed and the number of the epoch only: a training that is
/// resumed asks for its epoch and passes over the batches that it has seen. They are held in memory, 8 bytes a pair.
pub(crate) struct Sampler {
    sets: Vec<Passes>,
    /// Which pairs must not meet, with --no-duplicates.
    collisions: Option<Collisions>,
    batch_from: BatchFrom,
    batch_size: usize,
    seed: u64,
}

impl Sampler {
    pub(crate) fn new(shards: &Shards, args: &DataArgs, batch_size: usize, seed: u64) -> Self {
        let sets: Vec<_> = shards.sets().iter().map(|set| (set.pairs.clone(), set.weight)).collect();
        // A pair that is seen several times in an epoch must not meet itself either.
        let repeats = sets.iter().any(|(_, weight)| *weight != 1.0);
        let find = || Collisions::find(shards.pairs(), repeats, |pair, keys| shards.push_keys(pair, keys));
        let collisions = args.no_duplicates.then(find);
        Self::of_sets(&sets, collisions, args.batch_from, batch_size, seed)
    }

    fn of_sets(
        sets: &[(Range<usize>, f64)],
        collisions: Option<Collisions>,
        batch_from: BatchFrom,
        batch_size: usize,
        seed: u64,
    ) -> Self {
        let passes = (0..).zip(sets).map(|(set, (pairs, weight))| Passes::new(pairs.clone(), *weight, seed, set));
        let sets = passes.collect();
        Self { sets, collisions, batch_from, batch_size, seed }
    }

    /// The batches of an epoch, counted from 0, each as numbers of pairs.
    ///
    /// The last batch of a set, or of all with `mixed`, may be smaller. Without duplicates, several may: a pair that
    /// meets another in every batch that has room begins a new one, so that none is lost.
    pub(crate) fn epoch(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut generator = generator(self.seed, 0, u64::from(epoch));
        let orders: Vec<_> = self.sets.iter().map(|set| set.epoch(epoch)).collect();
        match self.batch_from {
            BatchFrom::OneSet => {
                let batches = orders.iter().map(|order| self.batches(order)).collect();
                interleave(batches, &mut generator)
            }
            BatchFrom::Mixed => self.batches(&interleave(orders, &mut generator)),
        }
    }

    /// Number of batches of an epoch, exactly. With --no-duplicates it takes as long as [`epoch`](Self::epoch), else no time.
    pub(crate) fn steps(&self, epoch: u32) -> u64 {
        if self.collisions.is_some() {
            return self.epoch(epoch).len() as u64;
        }
        let pairs = self.sets.iter().map(|set| set.pairs_in(epoch));
        let size = self.batch_size as u64;
        match self.batch_from {
            BatchFrom::OneSet => pairs.map(|pairs| pairs.div_ceil(size)).sum(),
            BatchFrom::Mixed => pairs.sum::<u64>().div_ceil(size),
        }
    }

    /// Number of steps of the first epochs together, exactly, if a step takes so many batches; epochs may differ.
    pub(crate) fn total_steps(&self, epochs: u32, batches_a_step: u32) -> u64 {
        (0..epochs).map(|epoch| self.steps(epoch).div_ceil(u64::from(batches_a_step))).sum()
    }

    fn batches(&self, order: &[usize]) -> Vec<Vec<usize>> {
        match &self.collisions {
            None => order.chunks(self.batch_size).map(<[usize]>::to_vec).collect(),
            Some(collisions) => first_fit(order, self.batch_size, collisions),
        }
    }
}

/// Lists in one, at random: each keeps its order, and any way to shuffle them together is as likely as any other.
fn interleave<T>(lists: Vec<Vec<T>>, generator: &mut ChaCha8Rng) -> Vec<T> {
    let mut turns: Vec<usize> =
        lists.iter().enumerate().flat_map(|(list, items)| items.iter().map(move |_| list)).collect();
    if lists.len() > 1 {
        turns.shuffle(generator);
    }
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    turns.into_iter().filter_map(|list| lists[list].next()).collect()
}

/// Random numbers of their own for each purpose and number; a purpose is below 65,536, a number below 2^48.
fn generator(seed: u64, purpose: u64, number: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(purpose << 48 | number);
    generator
}
