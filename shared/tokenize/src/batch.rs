//! Batches of rows of different lengths.

use std::cmp::Reverse;
use std::ops::Range;

/// The rows in order of decreasing length; rows of equal length keep their order.
///
/// Neighbours then have similar lengths, so a batch of them has little padding. The largest batch comes first, so
/// memory peaks at the start and not after hours.
pub fn longest_first(lengths: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|row| Reverse(lengths[*row]));
    order
}

/// Divides rows, given by decreasing lengths, into batches of at most `budget` tokens, padding included.
///
/// A row that is longer than the budget becomes a batch alone.
pub fn pack(lengths: impl IntoIterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut longest = 0;
    for (row, length) in lengths.into_iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * longest <= budget => batch.end += 1,
            _ => {
                longest = length;
                batches.push(row..row + 1);
            }
        }
    }
    batches
}

/// Divides rows, given by decreasing lengths, into batches of one length and at most `budget` tokens.
///
/// A row that is longer than the budget becomes a batch alone.
pub fn pack_equal(lengths: impl IntoIterator<Item = usize>, budget: usize) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut current = None;
    for (row, length) in lengths.into_iter().enumerate() {
        match batches.last_mut() {
            Some(batch) if current == Some(length) && (batch.len() + 1) * length <= budget => batch.end += 1,
            _ => {
                current = Some(length);
                batches.push(row..row + 1);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_budget_and_lose_nothing() {
        let lengths = [3, 9, 1, 9, 200, 4, 4, 1];
        let order = longest_first(&lengths);
        assert_eq!(order, [4, 1, 3, 5, 6, 0, 2, 7]);
        let batches = pack(order.iter().map(|row| lengths[*row]), 20);
        assert_eq!(batches, [0..1, 1..3, 3..8]);
        assert!(pack([], 20).is_empty());
    }

    #[test]
    fn batches_of_one_length_keep_the_budget_and_lose_nothing() {
        assert_eq!(pack_equal([200, 9, 9, 9, 4, 3, 3], 20), [0..1, 1..3, 3..4, 4..5, 5..7]);
        assert!(pack_equal([], 20).is_empty());
    }
}
