//! Parts of the flat gradient that are added up as soon as the backward pass has them.

use std::cmp::Reverse;
use std::ops::Range;

/// Elements that make a bucket large enough: 16 MB, of which the wait for the other processes is a small part.
const ENOUGH: i64 = 4 << 20;

/// A part of the flat gradient, and the leaves in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range<i64>,
    /// Numbers of leaves, from the end of the range to its beginning.
    pub(super) leaves: Vec<usize>,
}

/// Cuts a gradient of `total` elements into parts, the one that is complete first before the others.
///
/// `leaves` are in the order in which the forward pass uses them, and the backward pass has them last to first. Where
/// they do not lie in that order a part ends: biases, which lie behind all matrices, do not make the upper layers'
/// matrices wait for those of the lowest.
pub(super) fn cut(leaves: &[Range<i64>], total: i64) -> Vec<Part> {
    let mut from_the_end: Vec<usize> = (0..leaves.len()).collect();
    from_the_end.sort_by_key(|leaf| Reverse(leaves[*leaf].start));
    let mut parts: Vec<Part> = Vec::new();
    for leaf in from_the_end {
        let start = leaves[leaf].start;
        match parts.last_mut() {
            Some(Part { range, leaves }) if range.end - range.start < ENOUGH && leaves.last() > Some(&leaf) => {
                range.start = start;
                leaves.push(leaf);
            }
            last => {
                let end = last.map_or(total, |part| part.range.start);
                parts.push(Part { range: start..end, leaves: vec![leaf] });
            }
        }
    }
    // What no leaf shows has no gradient.
    if let Some(first) = parts.last_mut() {
        first.range.start = 0;
    }
    parts.sort_by_key(|part| Reverse(part.leaves.iter().min().copied()));
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn upper_layers_do_not_wait_for_the_biases() {
        const M: i64 = 1 << 20;
        // A table, three layers of a matrix each, then the bias of the table's norm and those of the layers.
        let starts = [0, 12 * M, 14 * M, 16 * M, 20 * M, 20 * M + 1, 20 * M + 2, 20 * M + 3];
        let end = 20 * M + 4;
        let range = |leaf: usize| starts[leaf]..starts.get(leaf + 1).copied().unwrap_or(end);
        let in_forward_order = [0, 4, 1, 5, 2, 6, 3, 7].map(range);
        let part = |range, leaves: &[usize]| Part { range, leaves: leaves.to_vec() };
        let expected = [
            part(16 * M..20 * M, &[6]),
            part(12 * M..16 * M, &[4, 2]),
            part(20 * M..end, &[7, 5, 3, 1]),
            part(0..12 * M, &[0]),
        ];
        assert_eq!(cut(&in_forward_order, end), expected);
    }

    proptest! {
        #[test]
        fn every_element_is_in_one_part(lengths in prop::collection::vec(1_i64..5_000_000, 1..40), seed: u64) {
            let ends = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) });
            let mut leaves: Vec<_> = ends.zip(&lengths).map(|(end, length)| end - length..end).collect();
            leaves.sort_by_key(|leaf| (leaf.start as u64).wrapping_mul(seed | 1));
            let total = lengths.iter().sum();
            let parts = cut(&leaves, total);
            let mut ranges: Vec<_> = parts.iter().map(|part| part.range.clone()).collect();
            ranges.sort_by_key(|range| range.start);
            prop_assert!(ranges[0].start == 0 && ranges[ranges.len() - 1].end == total);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let mut all: Vec<_> = parts.iter().flat_map(|part| part.leaves.clone()).collect();
            for Part { range, leaves: inside } in &parts {
                prop_assert!(inside.iter().all(|leaf| range.start <= leaves[*leaf].start && leaves[*leaf].end <= range.end));
            }
            all.sort_unstable();
            prop_assert_eq!(all, (0..leaves.len()).collect::<Vec<_>>());
        }
    }
}
