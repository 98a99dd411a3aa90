//! The flat gradient, cut into buckets that are summed over the processes as soon as the backward pass has completed
//! them.

use std::cmp::Reverse;
use std::ops::Range;

/// Elements at which a bucket is large enough: 16 MB, whose transfer takes much longer than the wait for other
/// processes.
const BUCKET_ELEMENTS: i64 = 4 << 20;

/// A range of the flat gradient, and the leaves in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BucketRange {
    pub(super) range: Range<i64>,
    /// Indices of leaves, from the end of the range to its start.
    pub(super) leaves: Vec<usize>,
}

/// Cuts a gradient of `total` elements into buckets, in the order in which the backward pass completes them.
///
/// `leaves` are in the order in which the forward pass uses them, so the backward pass completes them last to first. A
/// bucket ends where the layout of the buffer leaves that order: the biases, which follow all matrices, must not make
/// the upper layers' matrices wait for those of the lowest layer.
pub(super) fn cut(leaves: &[Range<i64>], total: i64) -> Vec<BucketRange> {
    let mut from_the_end: Vec<usize> = (0..leaves.len()).collect();
    from_the_end.sort_by_key(|leaf| Reverse(leaves[*leaf].start));
    let mut buckets: Vec<BucketRange> = Vec::new();
    for leaf in from_the_end {
        let start = leaves[leaf].start;
        match buckets.last_mut() {
            Some(BucketRange { range, leaves })
                if range.end - range.start < BUCKET_ELEMENTS && leaves.last() > Some(&leaf) =>
            {
                range.start = start;
                leaves.push(leaf);
            }
            last => {
                let end = last.map_or(total, |bucket| bucket.range.start);
                buckets.push(BucketRange { range: start..end, leaves: vec![leaf] });
            }
        }
    }
    // Elements that no leaf covers have no gradient.
    if let Some(first) = buckets.last_mut() {
        first.range.start = 0;
    }
    buckets.sort_by_key(|bucket| Reverse(bucket.leaves.iter().min().copied()));
    buckets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn upper_layers_do_not_wait_for_the_biases() {
        const M: i64 = 1 << 20;
        // The embedding table, three layers of one matrix each, then the bias of the embeddings' norm and those of the
        // layers.
        let starts = [0, 12 * M, 14 * M, 16 * M, 20 * M, 20 * M + 1, 20 * M + 2, 20 * M + 3];
        let end = 20 * M + 4;
        let range = |leaf: usize| starts[leaf]..starts.get(leaf + 1).copied().unwrap_or(end);
        let in_forward_order = [0, 4, 1, 5, 2, 6, 3, 7].map(range);
        let bucket = |range, leaves: &[usize]| BucketRange { range, leaves: leaves.to_vec() };
        let expected = [
            bucket(16 * M..20 * M, &[6]),
            bucket(12 * M..16 * M, &[4, 2]),
            bucket(20 * M..end, &[7, 5, 3, 1]),
            bucket(0..12 * M, &[0]),
        ];
        assert_eq!(cut(&in_forward_order, end), expected);
    }

    proptest! {
        #[test]
        fn every_element_is_in_one_bucket(lengths in prop::collection::vec(1_i64..5_000_000, 1..40), seed: u64) {
            let ends = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) });
            let mut leaves: Vec<_> = ends.zip(&lengths).map(|(end, length)| end - length..end).collect();
            leaves.sort_by_key(|leaf| (leaf.start as u64).wrapping_mul(seed | 1));
            let total = lengths.iter().sum();
            let buckets = cut(&leaves, total);
            let mut ranges: Vec<_> = buckets.iter().map(|bucket| bucket.range.clone()).collect();
            ranges.sort_by_key(|range| range.start);
            prop_assert!(ranges[0].start == 0 && ranges[ranges.len() - 1].end == total);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let mut all: Vec<_> = buckets.iter().flat_map(|bucket| bucket.leaves.clone()).collect();
            for BucketRange { range, leaves: inside } in &buckets {
                prop_assert!(inside.iter().all(|leaf| range.start <= leaves[*leaf].start && leaves[*leaf].end <= range.end));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..leaves.len()).collect::<Vec<_>>());
        }
    }
}
