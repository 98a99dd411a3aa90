//! Batches in which no two pairs collide.

use super::collisions::Collisions;

/// Puts each pair, in the given order, into the first batch that has room and no pair that it collides with.
///
/// These are the batches of sentence-transformers' `NoDuplicatesBatchSampler` (base/sampler.py, without drop_last) for
/// the same order: it fills one batch after the other from the remaining pairs, and skips a pair exactly where it does
/// not fit here. Placing pair by pair avoids scanning the skipped pairs again for every batch.
pub(crate) fn first_fit(order: &[usize], batch_size: usize, collisions: &Collisions) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut open = Open { next: vec![0] };
    let mut uses = vec![Uses::default(); collisions.count];
    for pair in order {
        let keys = || collisions.of(*pair).iter().map(|key| *key as usize);
        let earliest = keys().map(|key| uses[key].earliest).max().unwrap_or(0);
        let mut batch = open.at_or_after(earliest);
        while keys().any(|key| uses[key].holds(batch)) {
            batch = open.at_or_after(batch + 1);
        }
        if batch as usize == batches.len() {
            batches.push(Vec::new());
            open.push();
        }
        let pairs = &mut batches[batch as usize];
        pairs.push(*pair);
        if pairs.len() == batch_size {
            open.close(batch);
        }
        keys().for_each(|key| uses[key].insert(batch, &mut open));
    }
    batches
}

/// The batches that a key is in.
#[derive(Clone, Default)]
struct Uses {
    /// All batches before this one are full or contain the key, so that they need not be searched for a key of very
    /// many pairs.
    earliest: u32,
    /// Later batches with the key, in descending order.
    later: Vec<u32>,
}

impl Uses {
    /// Whether a batch, which is not before the earliest, contains the key.
    fn holds(&self, batch: u32) -> bool {
        self.later.binary_search_by(|later| batch.cmp(later)).is_ok()
    }

    fn insert(&mut self, batch: u32, open: &mut Open) {
        let at = self.later.partition_point(|later| *later > batch);
        self.later.insert(at, batch);
        self.earliest = open.at_or_after(self.earliest);
        while let Some(next) = self.later.pop_if(|next| *next <= self.earliest) {
            if next == self.earliest {
                self.earliest = open.at_or_after(next + 1);
            }
        }
    }
}

/// Which batches have room, as a union-find structure: the batch after the last one is always open.
struct Open {
    /// For each batch one at or after it: itself if it is open.
    next: Vec<u32>,
}

impl Open {
    fn at_or_after(&mut self, batch: u32) -> u32 {
        let mut batch = batch;
        loop {
            let next = self.next[batch as usize];
            if next == batch {
                return batch;
            }
            let beyond = self.next[next as usize];
            self.next[batch as usize] = beyond;
            batch = beyond;
        }
    }

    fn push(&mut self) {
        self.next.push(self.next.len() as u32);
    }

    fn close(&mut self, batch: u32) {
        self.next[batch as usize] = batch + 1;
    }
}
