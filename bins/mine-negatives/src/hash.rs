//! The hash by which texts, ids and groups are compared.

use xxhash_rust::xxh3::xxh3_64;

/// Among a billion texts, 64 bits collide with a probability of 3 %.
pub(crate) fn hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}
