//! Buckets of relative positions: near distances have a row of the table each, far ones share rows.

use crate::ops::RelativeBias;

impl RelativeBias {
    /// The distance at which each bucket after the first begins, for either direction: up to half of them one by one,
    /// then `near · (max / near)^(k / (half − near))` rounded up, where `near` is half of `half`.
    fn starts(&self) -> Vec<usize> {
        let half = self.table.rows / 2;
        let near = half / 2;
        let far = half.saturating_sub(near);
        let ratio = self.max_distance as f64 / near.max(1) as f64;
        let start = |k: usize| {
            let exact = near as f64 * ratio.powf(k as f64 / far as f64);
            // Whole numbers must not be rounded up because of the last bit of the power.
            (exact - 1e-9 * exact).ceil() as usize
        };
        (1..=near).chain((1..far).map(start)).collect()
    }

    /// Distances from this one on have the same row.
    pub fn last_start(&self) -> usize {
        self.starts().last().copied().unwrap_or(1)
    }

    /// Row of the table for each offset of a key from its query, from `−most` to `most` (negative: the key comes
    /// first).
    ///
    /// Source: `T5Attention._relative_position_bucket` in `transformers/models/t5/modeling_t5.py`, bidirectional, which
    /// MPNet shares. Instead of a logarithm, this uses the integers at which its result changes.
    pub fn buckets(&self, most: usize) -> Vec<usize> {
        let (starts, half) = (self.starts(), self.table.rows / 2);
        let bucket = |distance: usize| starts.partition_point(|start| *start <= distance);
        let before = (1..=most).rev().map(bucket);
        before.chain([0]).chain((1..=most).map(|distance| bucket(distance) + half)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Table;

    #[test]
    fn buckets_follow_the_formula() {
        for (rows, max_distance) in [(32, 128), (8, 20), (64, 256)] {
            let bias = RelativeBias { table: Table { stem: String::new(), rows, width: 4 }, max_distance };
            let (half, near) = (rows / 2, rows / 4);
            let buckets = bias.buckets(2000);
            for distance in 0..=2000_usize {
                let exact = if distance < near {
                    distance
                } else {
                    // 1e-9 makes up for rounding where the quotient is a whole number.
                    let share = (distance as f64 / near as f64).ln() / (max_distance as f64 / near as f64).ln();
                    (near + (share * (half - near) as f64 + 1e-9) as usize).min(half - 1)
                };
                assert_eq!(buckets[2000 - distance], exact, "{distance} before, {rows} rows");
                let after = if distance == 0 { 0 } else { half + exact };
                assert_eq!(buckets[2000 + distance], after, "{distance} after, {rows} rows");
            }
            let last = bias.last_start();
            assert!(buckets[2000 - last] == half - 1 && buckets[2001 - last] == half - 2, "{last}");
        }
    }

    #[test]
    fn mpnet_has_a_last_bucket_from_91_on() {
        let bias = RelativeBias { table: Table { stem: String::new(), rows: 32, width: 4 }, max_distance: 128 };
        assert_eq!(bias.starts(), [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91]);
    }
}
