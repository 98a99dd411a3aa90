//! What dropout's masks are computed from.
//!
//! A mask depends on the seed, the step, the row of the batch, the place in the row, and the site in the network; not
//! on the micro-batch that the row is computed in, nor on how often it is.

/// splitmix64 (Steele, Lea, Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Key of a batch: the batches of a training are numbered through.
pub(crate) fn batch_key(seed: u64, batch: u64) -> u64 {
    mix(mix(seed) ^ batch)
}

/// Key of a row of a batch.
pub(crate) fn row_key(batch: u64, row: usize) -> u64 {
    mix(batch ^ row as u64)
}

/// Key of a token of a row, as libtorch stores it.
pub(crate) fn token_key(row: u64, place: usize) -> i64 {
    mix(row ^ place as u64) as i64
}
