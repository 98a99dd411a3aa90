//! Records on their way from the reader to the tokeniser, where they become windows.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::times::Clock;
use crate::input::records::Entry;

/// Records in the first window: few, so that the first vectors come soon. Each window may be four times the last.
const FIRST_RECORDS: usize = 32;
/// Records in a window: enough to find neighbours of equal length for every batch.
const MOST_RECORDS: usize = 4096;
/// Bytes of lines in a window, so that long records do not fill the memory.
const MOST_BYTES: usize = 16 << 20;

/// Where the reader puts records and the tokeniser takes them, a window at a time.
///
/// A window is as large as it may be, and of a file always of the same records. Only when the reader waits for a pipe
/// and nothing else is on its way, what is there is taken: a slow writer sees the vectors of what it wrote.
pub(super) struct Gather {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    records: Vec<Entry>,
    bytes: usize,
    /// Records that the window may hold.
    limit: usize,
    most_bytes: usize,
    /// The reader waits for its input.
    is_waiting: bool,
    /// Windows that were taken and are not written yet.
    in_flight: usize,
    end: End,
    /// Nobody will take another window.
    is_abandoned: bool,
}

/// How the reading has ended.
enum End {
    /// It has not.
    Open,
    /// All is read, or reading failed.
    Reached(anyhow::Result<()>),
    /// The tokeniser knows.
    Taken,
}

impl Gather {
    /// Windows of `most_bytes`, or as many as the memory allows.
    pub(super) fn new(most_bytes: usize) -> Self {
        let state = State {
            records: Vec::new(),
            bytes: 0,
            limit: FIRST_RECORDS,
            most_bytes: most_bytes.min(MOST_BYTES),
            is_waiting: false,
            in_flight: 0,
            end: End::Open,
            is_abandoned: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// What the reader puts records into.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { gather: self }
    }

    /// The reader is about to wait for its input.
    pub(super) fn wait_for_input(&self) {
        self.lock().is_waiting = true;
        self.changed.notify_all();
    }

    /// The next window; behind the last one an empty one, or the error that reading ended with, and then nothing.
    pub(super) fn take(&self) -> Option<anyhow::Result<Vec<Entry>>> {
        let mut state = self.lock();
        loop {
            let is_last = !matches!(state.end, End::Open);
            let is_wanted = state.is_waiting && state.in_flight == 0;
            if state.is_full() || ((is_last || is_wanted) && !state.records.is_empty()) {
                state.in_flight += 1;
                state.bytes = 0;
                state.limit = (4 * state.limit).min(MOST_RECORDS);
                self.changed.notify_all();
                return Some(Ok(mem::take(&mut state.records)));
            }
            match mem::replace(&mut state.end, End::Taken) {
                End::Taken => return None,
                End::Reached(result) => {
                    state.in_flight += 1;
                    return Some(result.map(|()| Vec::new()));
                }
                End::Open => {
                    state.end = End::Open;
                    state = self.wait(state);
                }
            }
        }
    }

    /// A window that was taken is written.
    pub(super) fn written(&self) {
        self.lock().in_flight -= 1;
        self.changed.notify_all();
    }

    /// Nobody will take another window.
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.changed.notify_all();
    }
}

/// The reader's hold on a [`Gather`]. When it is let go without a word, by a panic, the tokeniser does not wait for more.
pub(super) struct Reading<'a> {
    gather: &'a Gather,
}

impl Reading<'_> {
    /// Adds a record, once there is room for it; says whether anybody still wants records.
    pub(super) fn push(&mut self, entry: Entry, clock: &mut Clock) -> bool {
        let mut state = self.gather.lock();
        while state.is_full() && !state.is_abandoned {
            state = clock.wait(|| self.gather.wait(state));
        }
        state.is_waiting = false;
        state.bytes += entry.bytes;
        state.records.push(entry);
        if state.is_full() {
            self.gather.changed.notify_all();
        }
        !state.is_abandoned
    }

    /// Ends the reading. After an error, records that were not taken yet are not embedded.
    pub(super) fn end(self, result: anyhow::Result<()>) {
        let mut state = self.gather.lock();
        if result.is_err() {
            state.records.clear();
        }
        state.end = End::Reached(result);
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut state = self.gather.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Reached(Err(anyhow::anyhow!("reading broke off")));
        }
        drop(state);
        self.gather.changed.notify_all();
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.records.len() >= self.limit || self.bytes >= self.most_bytes
    }
}
