//! What stands where in a journal, and what it adds up to.

use std::collections::HashMap;

use super::cost::{Cost, Costs};
use super::entry::{BatchState, Entry, Key};
use crate::llm::reply::Worth;

/// How often a document is asked about whose replies are of no use: a second try helps now and then, and who gives
/// nothing twice would be paid for in every run.
const MOST_TRIES: u32 = 2;

/// All that is known of a journal's lines without reading them again.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Where the replies are that hold queries.
    answers: HashMap<Key, Place>,
    /// The other ones.
    useless: HashMap<Key, Useless>,
    paid: Costs,
    /// Requests that were sent and of which nothing more is known: on their way now, or lost with the run that sent
    /// them. A server may have charged for each of them, so that a later reply to the same request makes up for none.
    unanswered: HashMap<Key, Vec<Cost>>,
    batches: Vec<OpenBatch>,
    /// Where the lines of this run begin.
    opened: u64,
    end: u64,
}

/// Where a line is: its first byte, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) length: usize,
}

/// What there is for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) place: Place,
    /// Useless replies; none where there is an answer.
    pub(super) tries: u32,
    /// Whether nobody is to be asked again.
    pub(super) is_settled: bool,
}

/// Replies to one request without a query in them.
#[derive(Debug, Clone, Copy)]
struct Useless {
    /// The latest one, errors that may pass included.
    latest: Place,
    /// The latest of those that count as a try, and how many these are.
    tried: Option<(Place, u32)>,
}

/// A batch whose results are not here yet.
#[derive(Debug)]
struct OpenBatch {
    file: String,
    state: BatchState,
    most: Cost,
}

impl Index {
    /// Counts a line that stands at the end. Of two answers to the same request the first one counts, always.
    pub(super) fn note(&mut self, entry: Entry, length: usize) {
        let place = Place { start: self.end, length };
        match entry {
            Entry::Reply { key, cost, worth } => {
                self.paid.add(cost);
                if worth == Worth::Answer {
                    self.answers.entry(key).or_insert(place);
                } else {
                    let useless = self.useless.entry(key).or_insert(Useless { latest: place, tried: None });
                    useless.latest = place;
                    if worth == Worth::Nothing {
                        useless.tried = Some((place, useless.tried.map_or(1, |(_, tries)| tries + 1)));
                    }
                }
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
            Entry::Batch { file, state } => self.note_batch(file, state),
        }
        self.end += length as u64;
    }

    fn note_batch(&mut self, file: String, state: BatchState) {
        let known = self.batches.iter().position(|batch| batch.file == file).map(|at| self.batches.remove(at));
        match state {
            BatchState::Collected => {}
            BatchState::Lost(cost) => self.paid.add(cost),
            BatchState::Uploaded(most) => self.batches.push(OpenBatch { file, state, most }),
            BatchState::Created(_) => {
                let most = known.map_or(Cost::NOTHING, |batch| batch.most);
                self.batches.push(OpenBatch { file, state, most });
            }
        }
    }

    /// All lines so far are of earlier runs.
    pub(super) fn open(&mut self) {
        self.opened = self.end;
    }

    /// The length of all lines together.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// What there is for a request.
    pub(super) fn find(&self, key: Key) -> Option<Found> {
        if let Some(place) = self.answers.get(&key) {
            return Some(Found { place: *place, tries: 0, is_settled: true });
        }
        let (place, tries) = self.useless.get(&key)?.tried?;
        // Within a run nobody is asked twice.
        Some(Found { place, tries, is_settled: tries >= MOST_TRIES || place.start >= self.opened })
    }

    /// The latest reply to a request that was of no use, errors that may pass included.
    pub(super) fn latest_useless(&self, key: Key) -> Option<Place> {
        self.useless.get(&key).map(|useless| useless.latest)
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

    /// Whether a request was sent of which nothing more is known.
    pub(super) fn is_unanswered(&self, key: Key) -> bool {
        self.unanswered.contains_key(&key)
    }

    /// Batches whose results are not here yet.
    pub(super) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.batches.iter().map(|batch| (batch.file.clone(), batch.state.clone())).collect()
    }

    /// The most that an open batch can cost; nothing where that was not written down.
    pub(super) fn most_of_batch(&self, file: &str) -> Cost {
        self.batches.iter().find(|batch| batch.file == file).map_or(Cost::NOTHING, |batch| batch.most)
    }
}
