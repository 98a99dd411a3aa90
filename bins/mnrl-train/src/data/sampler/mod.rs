//! The batches of every epoch.

mod collisions;
mod first_fit;
mod passes;
#[cfg(test)]
mod tests;

use std::ops::Range;

use clap::{Args, ValueEnum};
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::shards::Shards;
use collisions::Collisions;
use first_fit::first_fit;
use passes::Passes;

/// How batches are drawn.
#[derive(Debug, Clone, Copy, Args, Serialize)]
#[command(next_help_heading = "Training")]
pub(crate) struct SamplerArgs {
    /// Passes over all pairs
    #[arg(long, value_name = "NUM", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) epochs: u32,

    /// Pairs in a batch; each is a negative of all others
    ///
    /// The memory does not grow with it, see Memory below.
    #[arg(long, value_name = "NUM", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch_size: u32,

    /// Batches whose gradients are averaged for one step; they are not negatives of each other
    #[arg(
        long,
        value_name = "NUM",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
        hide_short_help = true
    )]
    pub(crate) gradient_accumulation: u32,

    /// Where the pairs of a batch come from
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, help_heading = "Training", hide_short_help = true)]
    pub(crate) batch_from: BatchFrom,

    /// Keep pairs that share a text or a document out of each other's batches
    #[arg(long, help_heading = "Training", hide_short_help = true)]
    pub(crate) no_duplicates: bool,

    /// Seed of every random choice
    #[arg(long, value_name = "NUM", default_value_t = 42, hide_short_help = true)]
    pub(crate) seed: u64,
}

/// Where the pairs of a batch come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BatchFrom {
    /// Each batch from one set; the sets take turns at random
    #[default]
    OneSet,
    /// Any set
    Mixed,
}

/// Draws the batches of every epoch.
///
/// The batches of an epoch depend only on the data, the settings and the number of the epoch: a resumed training draws
/// its epoch again and skips the batches that it has trained on. They are held in memory, 8 bytes per pair.
pub(crate) struct Sampler {
    sets: Vec<Passes>,
    /// Which pairs must not meet, with --no-duplicates.
    collisions: Option<Collisions>,
    pub(crate) args: SamplerArgs,
}

impl Sampler {
    pub(crate) fn new(shards: &Shards, args: SamplerArgs) -> Self {
        let sets: Vec<_> = shards.sets().iter().map(|set| (set.pairs.clone(), set.weight)).collect();
        // A pair that is seen several times in an epoch must not meet itself either.
        let repeats = sets.iter().any(|(_, weight)| *weight != 1.0);
        let find = || Collisions::find(shards.pairs(), repeats, |pair, keys| shards.push_keys(pair, keys));
        let collisions = args.no_duplicates.then(find);
        Self::of_sets(&sets, collisions, args)
    }

    fn of_sets(sets: &[(Range<usize>, f64)], collisions: Option<Collisions>, args: SamplerArgs) -> Self {
        let seed = args.seed;
        let passes = (0..).zip(sets.iter().cloned()).map(|(set, (pairs, weight))| Passes { pairs, weight, seed, set });
        Self { sets: passes.collect(), collisions, args }
    }

    /// The batches of an epoch, counted from 0, each as indices of pairs.
    ///
    /// The last batch of a set, or of all sets with `mixed`, may be smaller. With --no-duplicates several may be: a
    /// pair that collides in every batch with room starts a new one, so that no pair is lost.
    pub(crate) fn epoch(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut generator = generator(self.args.seed, 0, u64::from(epoch));
        let orders: Vec<_> = self.sets.iter().map(|set| set.epoch(epoch)).collect();
        match self.args.batch_from {
            BatchFrom::OneSet => {
                let batches = orders.iter().map(|order| self.batches(order)).collect();
                interleave(batches, &mut generator)
            }
            BatchFrom::Mixed => self.batches(&interleave(orders, &mut generator)),
        }
    }

    /// The exact number of batches of an epoch. With --no-duplicates this takes as long as [`epoch`](Self::epoch).
    pub(crate) fn steps(&self, epoch: u32) -> u64 {
        if self.collisions.is_some() {
            return self.epoch(epoch).len() as u64;
        }
        let pairs = self.sets.iter().map(|set| set.pairs_in(epoch));
        let size = u64::from(self.args.batch_size);
        match self.args.batch_from {
            BatchFrom::OneSet => pairs.map(|pairs| pairs.div_ceil(size)).sum(),
            BatchFrom::Mixed => pairs.sum::<u64>().div_ceil(size),
        }
    }

    /// The exact number of steps of all epochs together, each of `batches_per_step` batches; epochs may differ.
    pub(crate) fn total_steps(&self, epochs: u32, batches_per_step: u32) -> u64 {
        (0..epochs).map(|epoch| self.steps(epoch).div_ceil(u64::from(batches_per_step))).sum()
    }

    fn batches(&self, order: &[usize]) -> Vec<Vec<usize>> {
        match &self.collisions {
            None => order.chunks(self.args.batch_size as usize).map(<[usize]>::to_vec).collect(),
            Some(collisions) => first_fit(order, self.args.batch_size as usize, collisions),
        }
    }
}

/// Merges lists at random: each keeps its order, and every interleaving has the same probability.
fn interleave<T>(lists: Vec<Vec<T>>, generator: &mut ChaCha8Rng) -> Vec<T> {
    let mut turns: Vec<usize> =
        lists.iter().enumerate().flat_map(|(list, items)| items.iter().map(move |_| list)).collect();
    if lists.len() > 1 {
        turns.shuffle(generator);
    }
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    turns.into_iter().filter_map(|list| lists[list].next()).collect()
}

/// An independent random number generator for each purpose and number; a purpose is below 65,536, a number below 2^48.
fn generator(seed: u64, purpose: u64, number: u64) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(purpose << 48 | number);
    generator
}
