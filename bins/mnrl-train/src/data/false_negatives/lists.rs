//! Many short lists in one.

/// A list of numbers for each number.
#[derive(Debug)]
pub(super) struct Lists {
    starts: Vec<u32>,
    values: Vec<u32>,
}

impl Lists {
    /// Lists `count` times the values of each index; the order of a list is that of the entries.
    pub(super) fn new(count: usize, entries: &[(u32, u32)]) -> Self {
        Self::build(count, entries, |entry| entry)
    }

    /// Lists the indices of each value.
    pub(super) fn inverse(count: usize, entries: &[(u32, u32)]) -> Self {
        Self::build(count, entries, |(index, value)| (value, index))
    }

    /// A counting sort.
    fn build(count: usize, entries: &[(u32, u32)], turn: impl Fn((u32, u32)) -> (u32, u32)) -> Self {
        let mut starts = vec![0; count + 1];
        for entry in entries {
            starts[turn(*entry).0 as usize + 1] += 1;
        }
        for list in 0..count {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut values = vec![0; entries.len()];
        for entry in entries {
            let (list, value) = turn(*entry);
            values[next[list as usize] as usize] = value;
            next[list as usize] += 1;
        }
        Self { starts, values }
    }

    pub(super) fn len(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    pub(super) fn get(&self, list: u32) -> &[u32] {
        let at = |list: u32| self.starts[list as usize] as usize;
        &self.values[at(list)..at(list + 1)]
    }
}
