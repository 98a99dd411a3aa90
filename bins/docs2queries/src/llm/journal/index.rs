//! What stands where in a journal, and what it adds up to.

use std::collections::HashMap;

use super::cost::{Cost, Costs};
use super::entry::{BatchState, Entry, Key};

/// All that is known of a journal's lines without reading them again.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Where the replies are: the first byte, and how many.
    replies: HashMap<Key, (u64, usize)>,
    paid: Costs,
    /// Requests that were sent and of which nothing more is known: on their way now, or lost with the run that sent
    /// them. A server may have charged for each of them, so that a later reply to the same request makes up for none.
    unanswered: HashMap<Key, Vec<Cost>>,
    batches: Vec<(String, BatchState)>,
    end: u64,
}

impl Index {
    /// Counts a line that stands at the end. Of two replies to the same request the first one counts, always.
    pub(super) fn note(&mut self, entry: Entry, length: usize) {
        match entry {
            Entry::Reply { key, cost } => {
                self.paid.add(cost);
                self.replies.entry(key).or_insert((self.end, length));
            }
            Entry::Asked { key, cost } => self.unanswered.entry(key).or_default().push(cost),
            Entry::Answered { key } => {
                if let Some(open) = self.unanswered.get_mut(&key) {
                    open.pop();
                    if open.is_empty() {
                        self.unanswered.remove(&key);
                    }
                }
            }
            Entry::Batch { file, state } => {
                self.batches.retain(|(other, _)| *other != file);
                if state != BatchState::Collected {
                    self.batches.push((file, state));
                }
            }
        }
        self.end += length as u64;
    }

    /// The length of all lines together.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where a reply is.
    pub(super) fn reply(&self, key: Key) -> Option<(u64, usize)> {
        self.replies.get(&key).copied()
    }

    /// What the replies have cost.
    pub(super) fn paid(&self) -> Costs {
        self.paid
    }

    /// What the requests without an answer can have cost, and their number.
    pub(super) fn unanswered(&self) -> (Costs, u64) {
        let mut costs = Costs::default();
        let mut count = 0;
        for cost in self.unanswered.values().flatten() {
            costs.add(*cost);
            count += 1;
        }
        (costs, count)
    }

    /// Batches whose results are not here yet.
    pub(super) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.batches.clone()
    }
}
