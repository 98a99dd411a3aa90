//! Which process computes which rows of a batch.

/// The rows of each process, rising: as many tokens for each as whole rows allow, computed alike by all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split(Vec<Vec<usize>>);

impl Split {
    /// Rows of these lengths over so many processes: the longest first, each to the process with the fewest tokens
    /// (Graham 1969, longest processing time).
    pub(crate) fn new(lengths: &[usize], processes: usize) -> Self {
        if processes == 1 {
            return Self(vec![(0..lengths.len()).collect()]);
        }
        let mut longest_first: Vec<usize> = (0..lengths.len()).collect();
        longest_first.sort_by_key(|row| std::cmp::Reverse(lengths[*row]));
        let mut rows = vec![Vec::new(); processes];
        let mut tokens = vec![0; processes];
        for row in longest_first {
            let least = (0..processes).min_by_key(|process| tokens[*process]).unwrap_or(0);
            tokens[least] += lengths[row];
            rows[least].push(row);
        }
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        Self(rows)
    }

    /// The rows of a process.
    pub(crate) fn rows(&self, rank: usize) -> &[usize] {
        &self.0[rank]
    }

    /// The most rows that a process has.
    pub(crate) fn most(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// Where each row of the batch stands when every process has room for [`most`](Self::most) rows, by rank.
    pub(crate) fn places(&self) -> Vec<i64> {
        let mut places = vec![0; self.0.iter().map(Vec::len).sum()];
        for (rank, rows) in self.0.iter().enumerate() {
            for (place, row) in rows.iter().enumerate() {
                places[*row] = (rank * self.most() + place) as i64;
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_go_first() {
        let split = Split::new(&[3, 9, 4, 5, 2], 2);
        assert_eq!((split.rows(0), split.rows(1)), (&[0, 1][..], &[2, 3, 4][..]));
        assert_eq!((split.most(), split.places()), (3, vec![0, 1, 3, 4, 5]));
        assert_eq!(Split::new(&[3, 9, 4], 1).places(), [0, 1, 2]);
        assert_eq!(Split::new(&[7], 3), Split(vec![vec![0], vec![], vec![]]));
    }

    proptest! {
        #[test]
        fn every_row_has_one_place(lengths in prop::collection::vec(1_usize..600, 0..80), processes in 1_usize..9) {
            let split = Split::new(&lengths, processes);
            let mut all: Vec<_> = (0..processes).flat_map(|rank| split.rows(rank)).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            let places = split.places();
            for rank in 0..processes {
                for (place, row) in split.rows(rank).iter().enumerate() {
                    prop_assert_eq!(places[*row], (rank * split.most() + place) as i64);
                }
            }
            let tokens = |rank| split.rows(rank).iter().map(|row| lengths[*row]).sum::<usize>();
            let (least, most) = (0..processes).map(tokens).fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
            prop_assert!(most - least <= lengths.iter().copied().max().unwrap_or(0));
        }
    }
}
