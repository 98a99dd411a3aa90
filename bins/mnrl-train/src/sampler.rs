//! The order of the pairs.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

/// The batches of one epoch: all pairs once, shuffled; the last batch may be smaller.
///
/// The order depends on the seed and the epoch only.
pub(crate) fn batches(pairs: usize, batch_size: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(u64::from(epoch));
    let mut order: Vec<usize> = (0..pairs).collect();
    order.shuffle(&mut generator);
    order.chunks(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn an_epoch_has_every_pair_once() {
        let first = batches(10, 4, 1, 0);
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        let mut all = first.concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(first, batches(10, 4, 1, 0));
        assert_ne!(first, batches(10, 4, 1, 1), "another epoch");
        assert_ne!(first, batches(10, 4, 2, 0), "another seed");
    }
}
