//! libtorch's random numbers.

/// Seeds the generators of all devices.
pub fn seed(seed: u64) {
    // The bits, not the value: every u64 is a seed.
    tch::manual_seed(seed as i64);
}
