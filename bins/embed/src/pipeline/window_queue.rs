//! The queue between the reader and the tokeniser, which divides records into windows.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::times::WorkTimer;
use crate::input::Entry;

/// Maximum number of records of the first window. It is small, so that the first vectors come soon; each further window
/// may be four times as large as the one before.
const FIRST_WINDOW_RECORDS: usize = 32;
/// Maximum number of records of a window. There are enough of them to fill batches with texts of similar length.
const MAX_WINDOW_RECORDS: usize = 4096;
/// Maximum size of the lines of a window in bytes, so that long records do not fill the memory.
const MAX_WINDOW_BYTES: usize = 16 << 20;

/// The queue that the reader adds records to, and from which the tokeniser takes windows.
///
/// A window is as large as it may be, so that the same file is always divided into the same windows. There is one
/// exception: if the reader waits for a pipe and no other window is being processed, the records so far become a
/// window. A program that writes slowly into the pipe then sees the vectors of the records that it has written.
pub(super) struct WindowQueue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    records: Vec<Entry>,
    bytes: usize,
    /// Maximum number of records of the current window.
    max_records: usize,
    max_bytes: usize,
    /// Whether the reader is waiting for its input.
    is_reader_waiting: bool,
    /// Number of windows that have been taken, but not written yet.
    in_flight: usize,
    end: End,
    /// Whether no further window will be taken.
    is_abandoned: bool,
}

/// Whether the input has ended.
enum End {
    /// There may be more records.
    Open,
    /// Everything has been read, or reading has failed.
    Reached(anyhow::Result<()>),
    /// The tokeniser has been notified.
    Reported,
}

impl WindowQueue {
    /// `max_bytes` is the limit for the lines of a window; it may be lowered to save memory.
    pub(super) fn new(max_bytes: usize) -> Self {
        let state = State {
            records: Vec::new(),
            bytes: 0,
            max_records: FIRST_WINDOW_RECORDS,
            max_bytes: max_bytes.min(MAX_WINDOW_BYTES),
            is_reader_waiting: false,
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

    /// The reader's end of the queue.
    pub(super) fn producer(&self) -> Producer<'_> {
        Producer { queue: self }
    }

    /// Must be called when the reader is about to wait for its input.
    pub(super) fn reader_waits(&self) {
        self.lock().is_reader_waiting = true;
        self.changed.notify_all();
    }

    /// The next window. After the last one comes an empty window, or the error that ended the reading, and then `None`.
    pub(super) fn take(&self) -> Option<anyhow::Result<Vec<Entry>>> {
        let mut state = self.lock();
        loop {
            let has_ended = !matches!(state.end, End::Open);
            let is_wanted = state.is_reader_waiting && state.in_flight == 0;
            if state.is_full() || ((has_ended || is_wanted) && !state.records.is_empty()) {
                state.in_flight += 1;
                state.bytes = 0;
                state.max_records = (4 * state.max_records).min(MAX_WINDOW_RECORDS);
                self.changed.notify_all();
                return Some(Ok(mem::take(&mut state.records)));
            }
            match mem::replace(&mut state.end, End::Reported) {
                End::Reported => return None,
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

    /// Must be called when a window has been written.
    pub(super) fn window_written(&self) {
        self.lock().in_flight -= 1;
        self.changed.notify_all();
    }

    /// Lets the reader end: no further window will be taken.
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.changed.notify_all();
    }
}

/// The reader's end of a [`WindowQueue`]. If it is dropped by a panic, the tokeniser does not wait for more records.
pub(super) struct Producer<'a> {
    queue: &'a WindowQueue,
}

impl Producer<'_> {
    /// Adds a record, once there is room for it. Returns whether further records are wanted.
    pub(super) fn push(&mut self, entry: Entry, timer: &mut WorkTimer) -> bool {
        let mut state = self.queue.lock();
        while state.is_full() && !state.is_abandoned {
            state = timer.wait(|| self.queue.wait(state));
        }
        state.is_reader_waiting = false;
        state.bytes += entry.bytes;
        state.records.push(entry);
        if state.is_full() {
            self.queue.changed.notify_all();
        }
        !state.is_abandoned
    }

    /// Ends the input. After an error, records that have not been taken yet are dropped.
    pub(super) fn finish(self, result: anyhow::Result<()>) {
        let mut state = self.queue.lock();
        if result.is_err() {
            state.records.clear();
        }
        state.end = End::Reached(result);
    }
}

impl Drop for Producer<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        if matches!(state.end, End::Open) {
            state.end = End::Reached(Err(anyhow::anyhow!("the reader stopped unexpectedly")));
        }
        drop(state);
        self.queue.changed.notify_all();
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.records.len() >= self.max_records || self.bytes >= self.max_bytes
    }
}
