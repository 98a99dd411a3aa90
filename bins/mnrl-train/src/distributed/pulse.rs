//! Signs of life: who is there, where each process stands, and why one has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use embtune_torch::{Store, TorchError};
use serde::{Deserialize, Serialize};

/// Time between two signs of life.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a process says of itself, under its key in the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Beat {
    /// Rises for as long as the process lives.
    pub(super) count: u64,
    /// Operations of the group that it has come to.
    pub(super) place: u64,
    /// Why it has left.
    pub(super) ended: Option<String>,
}

/// A thread that says that this process is alive, whatever the process does meanwhile.
///
/// Only this thread talks to the store: a store whose machine is gone may hold it forever, but not the training.
pub(super) struct Pulse {
    wishes: Sender<Wish>,
    place: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

/// Why the store said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Whoever keeps it has ended.
    Gone,
    /// It may answer yet.
    Late,
}

enum Wish {
    /// All processes' last beats; nothing of one that has not come.
    Beats(Sender<Vec<Option<Beat>>>),
    Get(String, Sender<Option<Vec<u8>>>),
    Set(String, Vec<u8>, Sender<()>),
    SayEnded(String, Sender<()>),
}

impl Pulse {
    pub(super) fn start(store: Arc<Store>, rank: usize, size: usize) -> Self {
        let (wishes, received) = mpsc::channel();
        let place = Arc::new(AtomicU64::new(0));
        let thread = {
            let place = Arc::clone(&place);
            thread::spawn(move || beat(&store, rank, size, &place, &received))
        };
        Self { wishes, place, thread }
    }

    /// Counts an operation of the group, and gives its number.
    pub(super) fn step(&self) -> u64 {
        self.place.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last beats of all, by rank.
    pub(super) fn beats(&self) -> Result<Vec<Option<Beat>>, NoAnswer> {
        self.ask(Wish::Beats)
    }

    /// A key's value, if the store answers and has it.
    pub(super) fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.ask(|reply| Wish::Get(key.to_owned(), reply)).ok().flatten()
    }

    /// Sets a key's value.
    pub(super) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), NoAnswer> {
        self.ask(|reply| Wish::Set(key.to_owned(), value, reply))
    }

    /// Tells the others why this process ends.
    pub(super) fn say_ended(&self, why: String) {
        let _ = self.ask(|reply| Wish::SayEnded(why, reply));
    }

    /// Ends the signs of life.
    pub(super) fn stop(self) {
        drop(self.wishes);
        let asked = Instant::now();
        while !self.thread.is_finished() && asked.elapsed() < INTERVAL {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn ask<T>(&self, wish: impl FnOnce(Sender<T>) -> Wish) -> Result<T, NoAnswer> {
        let (reply, answer) = mpsc::channel();
        self.wishes.send(wish(reply)).map_err(|_| NoAnswer::Gone)?;
        answer.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => NoAnswer::Late,
            RecvTimeoutError::Disconnected => NoAnswer::Gone,
        })
    }
}

fn key(rank: usize) -> String {
    format!("beat/{rank}")
}

/// The thread. A reply that is not sent is the answer that the store is gone.
fn beat(store: &Store, rank: usize, size: usize, place: &AtomicU64, wishes: &Receiver<Wish>) {
    let mut own = Beat::default();
    let publish = |own: &Beat| serde_json::to_vec(own).map(|value| store.set(&key(rank), &value));
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            own.count += 1;
            own.place = place.load(Ordering::Relaxed);
            let _ = publish(&own);
            next = Instant::now() + INTERVAL;
        }
        match wishes.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Wish::Beats(reply)) => {
                let read = |rank| Ok(store.get(&key(rank))?.and_then(|value| serde_json::from_slice(&value).ok()));
                let beats: Result<_, TorchError> = (0..size).map(read).collect();
                let _ = beats.map(|beats| reply.send(beats));
            }
            Ok(Wish::Get(key, reply)) => {
                let _ = store.get(&key).map(|value| reply.send(value));
            }
            Ok(Wish::Set(key, value, reply)) => {
                let _ = store.set(&key, &value).map(|()| reply.send(()));
            }
            Ok(Wish::SayEnded(why, reply)) => {
                own.ended = Some(why);
                let _ = publish(&own);
                let _ = reply.send(());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
