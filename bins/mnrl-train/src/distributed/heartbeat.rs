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

/// Requests from other threads to the heartbeat's thread.
enum Request {
    /// The last beats of all processes; `None` for one that has not joined.
    Beats(Sender<Vec<Option<Beat>>>),
    Get(String, Sender<Option<Vec<u8>>>),
    Set(String, Vec<u8>, Sender<()>),
    AnnounceExit(String, Sender<()>),
}

impl Heartbeat {
    pub(super) fn start(store: Arc<Store>, rank: usize, world_size: usize) -> Self {
        let (requests, received) = mpsc::channel();
        let operation = Arc::new(AtomicU64::new(0));
        let thread = {
            let operation = Arc::clone(&operation);
            thread::spawn(move || run(&store, rank, world_size, &operation, &received))
        };
        Self { requests, operation, thread }
    }

    /// Counts a collective operation, and returns its number.
    pub(super) fn next_operation(&self) -> u64 {
        self.operation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last beats of all processes, ordered by rank.
    pub(super) fn beats(&self) -> Result<Vec<Option<Beat>>, StoreFailure> {
        self.ask(Request::Beats)
    }

    /// A key's value, if the store answers and has one.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.ask(|reply| Request::Get(key.to_owned(), reply)).ok().flatten()
    }

    /// Sets a key's value.
    pub(super) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), StoreFailure> {
        self.ask(|reply| Request::Set(key.to_owned(), value, reply))
    }

    /// Tells the other processes why this one ends.
    pub(super) fn announce_exit(&self, reason: String) {
        let _ = self.ask(|reply| Request::AnnounceExit(reason, reply));
    }

    /// Stops the heartbeat.
    pub(super) fn stop(self) {
        drop(self.requests);
        let asked = Instant::now();
        while !self.thread.is_finished() && asked.elapsed() < INTERVAL {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<T, StoreFailure> {
        let (reply, answer) = mpsc::channel();
        self.requests.send(request(reply)).map_err(|_| StoreFailure::Gone)?;
        answer.recv_timeout(STORE_TIMEOUT).map_err(|error| match error {
            RecvTimeoutError::Timeout => StoreFailure::Timeout,
            RecvTimeoutError::Disconnected => StoreFailure::Gone,
        })
    }
}

fn key(rank: usize) -> String {
    format!("beat/{rank}")
}

/// The thread. If the store fails, no reply is sent, which the caller sees as [`StoreFailure::Gone`].
fn run(store: &Store, rank: usize, world_size: usize, operation: &AtomicU64, requests: &Receiver<Request>) {
    let mut own = Beat::default();
    let publish = |own: &Beat| serde_json::to_vec(own).map(|value| store.set(&key(rank), &value));
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            own.count += 1;
            own.operation = operation.load(Ordering::Relaxed);
            let _ = publish(&own);
            next = Instant::now() + INTERVAL;
        }
        match requests.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Request::Beats(reply)) => {
                let read = |rank| Ok(store.get(&key(rank))?.and_then(|value| serde_json::from_slice(&value).ok()));
                let beats: Result<_, TorchError> = (0..world_size).map(read).collect();
                let _ = beats.map(|beats| reply.send(beats));
            }
            Ok(Request::Get(key, reply)) => {
                let _ = store.get(&key).map(|value| reply.send(value));
            }
            Ok(Request::Set(key, value, reply)) => {
                let _ = store.set(&key, &value).map(|()| reply.send(()));
            }
            Ok(Request::AnnounceExit(reason, reply)) => {
                own.exit_reason = Some(reason);
                let _ = publish(&own);
                let _ = reply.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
