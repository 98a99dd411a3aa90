//! Which pairs share a text or a document.

/// The keys of all pairs, numbered: two pairs collide if they have a key in common.
pub(crate) struct Collisions {
    /// `[pairs + 1]`: where the keys of each pair begin.
    starts: Vec<usize>,
    keys: Vec<u32>,
    /// Number of different keys, which are numbered from 0.
    pub(crate) count: usize,
}

impl Collisions {
    /// Keeps the keys that several pairs have, or all keys if a pair can also meet itself. `push_keys` appends the keys
    /// of a pair, possibly with repetitions.
    ///
    /// Needs 16 bytes of memory per key, and then 4 for each key that is kept.
    pub(crate) fn find(pairs: usize, repeats: bool, push_keys: impl Fn(usize, &mut Vec<u64>)) -> Self {
        let mut entries = Vec::new();
        let mut keys = Vec::new();
        for pair in 0..pairs {
            push_keys(pair, &mut keys);
            entries.extend(keys.drain(..).map(|key| (key, pair)));
        }
        entries.sort_unstable();
        entries.dedup();
        let same_key = |a: &(u64, usize), b: &(u64, usize)| a.0 == b.0;
        let is_kept = |holders: &&[(u64, usize)]| repeats || holders.len() > 1;

        let mut starts = vec![0; pairs + 1];
        let mut count = 0;
        for holders in entries.chunk_by(same_key).filter(is_kept) {
            holders.iter().for_each(|(_, pair)| starts[pair + 1] += 1);
            count += 1;
        }
        for pair in 0..pairs {
            starts[pair + 1] += starts[pair];
        }
        let mut next = starts.clone();
        let mut keys = vec![0; starts[pairs]];
        for (number, holders) in (0..).zip(entries.chunk_by(same_key).filter(is_kept)) {
            for (_, pair) in holders {
                keys[next[*pair]] = number;
                next[*pair] += 1;
            }
        }
        Self { starts, keys, count }
    }

    /// The keys of a pair, each once.
    pub(crate) fn of(&self, pair: usize) -> &[u32] {
        &self.keys[self.starts[pair]..self.starts[pair + 1]]
    }
}
