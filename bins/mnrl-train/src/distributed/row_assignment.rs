//! Which process computes which rows of a batch.

/// The rows of each process, in ascending order: about the same number of tokens for each. All processes compute the
/// same assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowAssignment(Vec<Vec<usize>>);

impl RowAssignment {
    /// Assigns rows of these lengths to processes: the longest first, each to the process with the fewest tokens so far
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

    /// The largest number of rows that a process has.
    pub(crate) fn max_rows(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The position of each row of the batch among the rows of all processes, ordered by rank, where every process is
    /// padded to [`max_rows`](Self::max_rows).
    pub(crate) fn positions(&self) -> Vec<i64> {
        let mut positions = vec![0; self.0.iter().map(Vec::len).sum()];
        for (rank, rows) in self.0.iter().enumerate() {
            for (position, row) in rows.iter().enumerate() {
                positions[*row] = (rank * self.max_rows() + position) as i64;
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_go_first() {
        let assignment = RowAssignment::new(&[3, 9, 4, 5, 2], 2);
        assert_eq!((assignment.rows(0), assignment.rows(1)), (&[0, 1][..], &[2, 3, 4][..]));
        assert_eq!((assignment.max_rows(), assignment.positions()), (3, vec![0, 1, 3, 4, 5]));
        assert_eq!(RowAssignment::new(&[3, 9, 4], 1).positions(), [0, 1, 2]);
        assert_eq!(RowAssignment::new(&[7], 3), RowAssignment(vec![vec![0], vec![], vec![]]));
    }

    proptest! {
        #[test]
        fn every_row_has_one_position(lengths in prop::collection::vec(1_usize..600, 0..80), processes in 1_usize..9) {
            let assignment = RowAssignment::new(&lengths, processes);
            let mut all: Vec<_> = (0..processes).flat_map(|rank| assignment.rows(rank)).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            let positions = assignment.positions();
            for rank in 0..processes {
                for (position, row) in assignment.rows(rank).iter().enumerate() {
                    prop_assert_eq!(positions[*row], (rank * assignment.max_rows() + position) as i64);
                }
            }
            let tokens = |rank| assignment.rows(rank).iter().map(|row| lengths[*row]).sum::<usize>();
            let (least, most) = (0..processes).map(tokens).fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
            prop_assert!(most - least <= lengths.iter().copied().max().unwrap_or(0));
        }
    }
}
