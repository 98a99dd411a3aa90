//! Keys from which the CPU computes dropout masks.
//!
//! A mask depends on the seed, the batch, the row of the batch, the position in the row, and the site in the network. It
//! does not depend on the micro-batch in which the row is computed, or on how often it is computed.

/// splitmix64 (Steele, Lea, Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Key of a batch, by its number in the training.
pub(crate) fn batch_key(seed: u64, batch: u64) -> u64 {
    mix(mix(seed) ^ batch)
}

/// Key of a row of a batch.
pub(crate) fn row_key(batch: u64, row: usize) -> u64 {
    mix(batch ^ row as u64)
}

/// Key of a token of a row, in the type of its tensor.
pub(super) fn token_key(row: u64, position: usize) -> i64 {
    mix(row ^ position as u64) as i64
}
