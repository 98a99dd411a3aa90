//! MPNet's relative positions.

/// Rows of the table of relative attention biases; fixed in the reference's forward pass.
pub const RELATIVE_BUCKETS: usize = 32;

/// Distances from this one on share a row.
pub const MAX_RELATIVE_DISTANCE: usize = 91;

/// The distance at which each bucket after the first begins: 1 to 8, then `8 · 2^(k/2)` rounded up.
const BUCKET_STARTS: [usize; RELATIVE_BUCKETS / 2 - 1] =
    [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, MAX_RELATIVE_DISTANCE];

/// Row of the relative attention bias for a key that comes `offset` tokens after the query (negative: before it).
///
/// Source: `MPNetEncoder.relative_position_bucket` in `transformers/models/mpnet/modeling_mpnet.py` (32 buckets,
/// `max_distance` 128). Instead of a logarithm, this uses the integers at which its result changes.
pub fn relative_position_bucket(offset: i64) -> usize {
    let distance = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
    let bucket = BUCKET_STARTS.partition_point(|start| *start <= distance);
    if offset > 0 { bucket + RELATIVE_BUCKETS / 2 } else { bucket }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_the_formula() {
        for distance in 0..2000_i64 {
            let exact = if distance < 8 {
                distance
            } else {
                // 1e-9 makes up for rounding at 16, 32 and 64, where the quotient is a whole number.
                (8 + ((distance as f64 / 8.0).ln() / 16_f64.ln() * 8.0 + 1e-9) as i64).min(15)
            };
            assert_eq!(relative_position_bucket(-distance) as i64, exact, "{distance} before");
            let after = if distance == 0 { 0 } else { 16 + exact };
            assert_eq!(relative_position_bucket(distance) as i64, after, "{distance} after");
        }
        assert_eq!(relative_position_bucket(i64::MIN), 15);
    }
}
