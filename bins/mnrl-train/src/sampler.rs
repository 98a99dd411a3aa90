//! The order of the pairs.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::cli::Cli;
use crate::shards::Shards;

pub(crate) struct Sampler {
    pairs: usize,
    batch_size: usize,
    accumulation: usize,
    seed: u64,
}

impl Sampler {
    pub(crate) fn new(cli: &Cli, shards: &Shards) -> Self {
        Self {
            pairs: shards.pairs(),
            batch_size: cli.training.batch_size as usize,
            accumulation: cli.training.gradient_accumulation as usize,
            seed: cli.training.seed,
        }
    }

    /// The batches of one epoch: all pairs once, shuffled; the last batch may be smaller.
    ///
    /// The order depends on the seed and the epoch only.
    pub(crate) fn batches(&self, epoch: u32) -> Vec<Vec<usize>> {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(u64::from(epoch));
        let mut order: Vec<usize> = (0..self.pairs).collect();
        order.shuffle(&mut generator);
        order.chunks(self.batch_size).map(<[usize]>::to_vec).collect()
    }

    pub(crate) fn steps_an_epoch(&self) -> u64 {
        self.pairs.div_ceil(self.batch_size).div_ceil(self.accumulation) as u64
    }

    pub(crate) fn total_steps(&self, epochs: u32) -> u64 {
        self.steps_an_epoch() * u64::from(epochs)
    }
}
