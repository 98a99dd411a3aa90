//! Heartbeats: which processes are alive, how far each has come, and why one has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use embtune_torch::{Store, TorchError};
use serde::{Deserialize, Serialize};

/// Time between two heartbeats.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// The status that a process publishes under its key in the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Rises as long as the process lives.
    pub(super) count: u64,
    /// Number of collective operations that the process has reached.
    pub(super) operation: u64,
    /// Why the process has ended.
    pub(super) exit_reason: Option<String>,
}

/// A thread that publishes that this process is alive, whatever the process is doing.
///
/// Only this thread accesses the store: a store whose machine is gone may block it forever, but never the training.
pub(super) struct Heartbeat {
    requests: Sender<Request>,
    operation: Arc<AtomicU64>,
    rank: usize,
    world_size: usize,
    thread: JoinHandle<()>,
}

/// Why the store did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreFailure {
    /// The process that serves it has ended.
    Gone,
    /// It may still answer.
    Timeout,
}

/// What another thread asks of the heartbeat's thread, which passes the store and what it publishes.
type Request = Box<dyn FnOnce(&Store, &mut Beat) + Send>;

impl Heartbeat {
    pub(super) fn start(store: Arc<Store>, rank: usize, world_size: usize) -> Self {
        let (requests, received) = mpsc::channel();
        let operation = Arc::new(AtomicU64::new(0));
        let thread = {
            let operation = Arc::clone(&operation);
            thread::spawn(move || run(&store, rank, &operation, received))
        };
        Self { requests, operation, rank, world_size, thread }
    }

    /// Counts a collective operation, and returns its number.
    pub(super) fn next_operation(&self) -> u64 {
        self.operation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last beats of all processes, ordered by rank; `None` for one that has not joined.
    pub(super) fn beats(&self) -> Result<Vec<Option<Beat>>, StoreFailure> {
        let ranks = 0..self.world_size;
        self.ask(move |store, _| {
            let read = |rank| Ok(store.get(&key(rank))?.and_then(|value| serde_json::from_slice(&value).ok()));
            ranks.map(read).collect()
        })
    }

    /// A key's value, if the store answers and has one.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let key = key.to_owned();
        self.ask(move |store, _| store.get(&key)).ok().flatten()
    }

    /// Sets a key's value.
    pub(super) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), StoreFailure> {
        let key = key.to_owned();
        self.ask(move |store, _| store.set(&key, &value))
    }

    /// Tells the other processes why this one ends.
    pub(super) fn announce_exit(&self, reason: String) {
        let rank = self.rank;
        let _ = self.ask(move |store, own| {
            own.exit_reason = Some(reason);
            let _ = publish(store, rank, own);
            Ok(())
        });
    }

    /// Stops the heartbeat.
    pub(super) fn stop(self) {
        drop(self.requests);
        let asked = Instant::now();
        while !self.thread.is_finished() && asked.elapsed() < INTERVAL {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// If the store fails, no reply is sent, which the caller sees as [`StoreFailure::Gone`].
    fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store, &mut Beat) -> Result<T, TorchError> + Send + 'static,
    ) -> Result<T, StoreFailure> {
        let (reply, answer) = mpsc::channel();
        let request: Request = Box::new(move |store, own| {
            let _ = act(store, own).map(|value| reply.send(value));
        });
        self.requests.send(request).map_err(|_| StoreFailure::Gone)?;
        answer.recv_timeout(STORE_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreFailure::Timeout,
            RecvTimeoutError::Disconnected => StoreFailure::Gone,
        })
    }
}

fn key(rank: usize) -> String {
    format!("beat/{rank}")
}

fn publish(store: &Store, rank: usize, own: &Beat) -> Result<(), TorchError> {
    serde_json::to_vec(own).map_or(Ok(()), |value| store.set(&key(rank), &value))
}

/// The thread.
fn run(store: &Store, rank: usize, operation: &AtomicU64, requests: Receiver<Request>) {
    let mut own = Beat::default();
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            own.count += 1;
            own.operation = operation.load(Ordering::Relaxed);
            let _ = publish(store, rank, &own);
            next = Instant::now() + INTERVAL;
        }
        match requests.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(request) => request(store, &mut own),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
