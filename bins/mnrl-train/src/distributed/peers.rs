//! The connection to the other processes, and the explanation of an operation that fails: which process is to blame.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use embtune_torch::{Communicator, TorchError};

use super::Rendezvous;
use super::heartbeat::{Beat, Heartbeat, INTERVAL, StoreFailure};

/// How long the process that serves the store waits for the others when it ends with an error.
const LINGER: Duration = Duration::from_secs(20);
/// Time between two polls of a condition that a process waits for.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Appended to messages of a failure that loses steps.
const HINT: &str = "\nhint: --resume continues from the last checkpoint";

/// The other processes, as this one reaches them.
pub(super) struct Peers {
    pub(super) rendezvous: Rendezvous,
    pub(super) timeout: Duration,
    pub(super) communicator: Communicator,
    pub(super) heartbeat: Heartbeat,
    /// Number of values that process 0 has published so far.
    pub(super) published: Cell<u64>,
}

impl Peers {
    /// Runs a collective operation, and explains its failure.
    pub(super) fn run<T>(&self, operation: impl FnOnce(&Communicator) -> Result<T, TorchError>) -> anyhow::Result<T> {
        let number = self.heartbeat.next_operation();
        let began = Instant::now();
        operation(&self.communicator).map_err(|error| self.explain(error, number, began.elapsed()))
    }

    /// Finds out which process made an operation fail: one that has said why it ended, one whose heartbeat has stopped,
    /// or one that has not reached the operation.
    fn explain(&self, error: TorchError, operation: u64, waited: Duration) -> anyhow::Error {
        let before = self.heartbeat.beats();
        if let Some(reason) = before.as_ref().ok().and_then(|beats| first_exit(beats)) {
            return anyhow::anyhow!(reason);
        }
        thread::sleep(INTERVAL * 5 / 2);
        let (Ok(before), Ok(after)) = (before, self.heartbeat.beats()) else { return self.store_is_gone() };
        if let Some(reason) = first_exit(&after) {
            return anyhow::anyhow!(reason);
        }
        let counts = |beats: &[Option<Beat>]| beats.iter().map(|beat| beat.as_ref().map(|beat| beat.count)).collect();
        let (before, now): (Vec<_>, Vec<_>) = (counts(&before), counts(&after));
        let silent: Vec<_> = (0..after.len()).filter(|rank| before[*rank] == now[*rank]).collect();
        if !silent.is_empty() {
            return anyhow::anyhow!("{}", stopped(&named(&silent)));
        }
        let late = ranks(&after, |beat| beat.as_ref().is_some_and(|beat| beat.operation < operation));
        if late.is_empty() || waited < self.timeout {
            return error.into();
        }
        let seconds = self.timeout.as_secs();
        anyhow::anyhow!("timed out after {seconds} s waiting for {}, which hangs (--dist-timeout){HINT}", named(&late))
    }

    fn store_is_gone(&self) -> anyhow::Error {
        if self.rendezvous.agent_store {
            let Rendezvous { master_addr, master_port, .. } = &self.rendezvous;
            anyhow::anyhow!("torchrun at {master_addr}:{master_port} stopped responding")
        } else {
            anyhow::anyhow!("{}", stopped("rank 0"))
        }
    }

    /// Waits for the value that process 0 publishes under a key, as long as that process is alive.
    pub(super) fn wait_for_main(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let (mut last, mut alive) = (None, Instant::now());
        let mut polled = Instant::now();
        loop {
            if let Some(value) = self.heartbeat.get(key) {
                return Ok(value);
            }
            // Often enough to see the exit reason of a process that fails, rarely enough for hundreds of processes.
            if polled.elapsed() > INTERVAL / 2 {
                polled = Instant::now();
                let beats = match self.heartbeat.beats() {
                    Err(StoreFailure::Gone) => return Err(self.store_is_gone()),
                    Err(StoreFailure::Timeout) => Vec::new(),
                    Ok(beats) => beats,
                };
                if let Some(reason) = first_exit(&beats) {
                    anyhow::bail!(reason);
                }
                let count = beats.first().and_then(|beat| beat.as_ref()).map(|beat| beat.count);
                if count.is_some() && count != last {
                    (last, alive) = (count, Instant::now());
                }
                anyhow::ensure!(alive.elapsed() < self.timeout, stopped("rank 0"));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

fn stopped(who: &str) -> String {
    format!("{who} stopped responding: it was killed or cut off{HINT}")
}

/// The exit reason of the first process that has announced one.
fn first_exit(beats: &[Option<Beat>]) -> Option<String> {
    let mut exits = (0..).zip(beats).filter_map(|(rank, beat)| Some((rank, beat.as_ref()?.exit_reason.as_ref()?)));
    exits.next().map(|(rank, reason)| format!("rank {rank} ended: {reason}"))
}

/// Keeps the store alive until the other processes have read why this one ends, but not for those that have stopped.
pub(super) fn linger(heartbeat: &Heartbeat) {
    let began = Instant::now();
    let mut counts = Vec::new();
    while let Ok(beats) = heartbeat.beats()
        && began.elapsed() < LINGER
    {
        counts.resize(beats.len(), (0, began));
        let is_alive = |((count, since), beat): (&mut (u64, Instant), &Option<Beat>)| {
            let Some(beat) = beat.as_ref().filter(|beat| beat.exit_reason.is_none()) else { return false };
            if beat.count != *count {
                (*count, *since) = (beat.count, Instant::now());
            }
            since.elapsed() < INTERVAL * 2
        };
        if !counts.iter_mut().zip(&beats).map(is_alive).fold(false, |any, one| any | one) {
            return;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// The ranks whose beats satisfy a condition.
pub(super) fn ranks(beats: &[Option<Beat>], is: impl Fn(&Option<Beat>) -> bool) -> Vec<usize> {
    (0..).zip(beats).filter(|(_, beat)| is(beat)).map(|(rank, _)| rank).collect()
}

/// Such as `rank 1`, or `rank 1, 3`.
pub(super) fn named(ranks: &[usize]) -> String {
    format!("rank {}", ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}
