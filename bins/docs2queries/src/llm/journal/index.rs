//! The positions of a journal's lines, and their total cost.

use std::collections::HashMap;

use super::cost::{Cost, Costs};
use super::entry::{BatchState, Entry, Key, ReplyQuality};

/// How often a request is sent whose replies are useless. A second try helps now and then; without a limit, a request
/// that never gets a useful reply would be paid for in every run.
const MAX_TRIES: u32 = 2;

/// All that is known of a journal's lines without reading them again.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The replies that contain an answer.
    usable: HashMap<Key, LineSpan>,
    /// The others.
    useless: HashMap<Key, UselessReplies>,
    /// What the replies have cost.
    pub(super) paid: Costs,
    /// Requests that were sent and whose reply is not in the journal: they are in flight now, or were lost with the run
    /// that sent them. The server may have charged for each, so a later reply to the same request settles none of them.
    unanswered: HashMap<Key, Vec<Cost>>,
    batches: Vec<OpenBatch>,
    /// Where the lines of this run begin.
    pub(super) run_start: u64,
    /// The length of all lines together, in bytes.
    pub(super) end: u64,
}

/// Where a line is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LineSpan {
    pub(super) start: u64,
    pub(super) length: usize,
}

/// The replies to a request that the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundReply {
    pub(super) place: LineSpan,
    /// The number of useless replies; 0 if there is a usable one.
    pub(super) tries: u32,
    /// Whether the request need not, or must not, be sent again.
    pub(super) is_settled: bool,
}

/// The replies to a request that has no usable one.
#[derive(Debug, Clone, Copy)]
struct UselessReplies {
    /// The latest, including transient errors.
    latest: LineSpan,
    /// The latest that counts as a try, and the number of these.
    tried: Option<(LineSpan, u32)>,
}

/// A batch whose results are not in the journal yet.
#[derive(Debug)]
struct OpenBatch {
    file: String,
    state: BatchState,
    most: Cost,
}

impl Index {
    /// Adds the line at the end. Of two usable replies to the same request, the first one counts.
    pub(super) fn note(&mut self, entry: Entry, length: usize) {
        let place = LineSpan { start: self.end, length };
        match entry {
            Entry::Reply { key, cost, quality } => {
                self.paid.add(cost);
                if quality == ReplyQuality::Usable {
                    self.usable.entry(key).or_insert(place);
                } else {
                    let useless = self.useless.entry(key).or_insert(UselessReplies { latest: place, tried: None });
                    useless.latest = place;
                    if quality == ReplyQuality::Useless {
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

    /// The reply to a request: a usable one, else the latest that counts as a try.
    pub(super) fn find(&self, key: Key) -> Option<FoundReply> {
        if let Some(place) = self.usable.get(&key) {
            return Some(FoundReply { place: *place, tries: 0, is_settled: true });
        }
        let (place, tries) = self.useless.get(&key)?.tried?;
        // Within a run, no request is sent again for a useless reply.
        Some(FoundReply { place, tries, is_settled: tries >= MAX_TRIES || place.start >= self.run_start })
    }

    /// The latest useless reply to a request, including transient errors.
    pub(super) fn latest_useless(&self, key: Key) -> Option<LineSpan> {
        self.useless.get(&key).map(|useless| useless.latest)
    }

    /// What the requests without a reply can have cost, and their number.
    pub(super) fn unanswered(&self) -> (Costs, u64) {
        let mut costs = Costs::default();
        let mut count = 0;
        for cost in self.unanswered.values().flatten() {
            costs.add(*cost);
            count += 1;
        }
        (costs, count)
    }

    /// Whether a request was sent whose reply is not in the journal.
    pub(super) fn is_unanswered(&self, key: Key) -> bool {
        self.unanswered.contains_key(&key)
    }

    /// Batches whose results are not in the journal yet.
    pub(super) fn open_batches(&self) -> Vec<(String, BatchState)> {
        self.batches.iter().map(|batch| (batch.file.clone(), batch.state.clone())).collect()
    }

    /// The most that an open batch can cost; nothing if that was not written down.
    pub(super) fn most_of_batch(&self, file: &str) -> Cost {
        self.batches.iter().find(|batch| batch.file == file).map_or(Cost::NOTHING, |batch| batch.most)
    }
}
