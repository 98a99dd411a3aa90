//! What holds the processes together, and what is said when it does not.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use embtune_torch::{Communicator, TorchError};

use super::World;
use super::pulse::{Beat, INTERVAL, NoAnswer, Pulse};

/// How long the process that keeps the store waits for the others at an end that is an error.
const LINGER: Duration = Duration::from_secs(20);
/// How often a process looks whether what it waits for is there.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// What holds the processes together.
pub(super) struct Links {
    pub(super) world: World,
    pub(super) timeout: Duration,
    pub(super) group: Communicator,
    pub(super) pulse: Pulse,
    /// What process 0 has told the others so far.
    pub(super) told: Cell<u64>,
}

impl Links {
    /// An operation of the group.
    pub(super) fn together<T>(&self, act: impl FnOnce(&Communicator) -> Result<T, TorchError>) -> anyhow::Result<T> {
        let place = self.pulse.step();
        let began = Instant::now();
        act(&self.group).map_err(|error| self.explain(error, place, began.elapsed()))
    }

    /// Who it is that let an operation fail.
    fn explain(&self, error: TorchError, place: u64, waited: Duration) -> anyhow::Error {
        let before = self.pulse.beats();
        if let Some(reason) = before.as_ref().ok().and_then(|beats| first_ended(beats)) {
            return anyhow::anyhow!(reason);
        }
        thread::sleep(INTERVAL * 5 / 2);
        let (Ok(before), Ok(after)) = (before, self.pulse.beats()) else { return self.store_is_gone() };
        if let Some(reason) = first_ended(&after) {
            return anyhow::anyhow!(reason);
        }
        let counts = |beats: &[Option<Beat>]| beats.iter().map(|beat| beat.as_ref().map(|beat| beat.count)).collect();
        let (before, now): (Vec<_>, Vec<_>) = (counts(&before), counts(&after));
        let silent: Vec<_> = (0..after.len()).filter(|rank| before[*rank] == now[*rank]).collect();
        if !silent.is_empty() {
            return anyhow::anyhow!("{}", gone(&named(&silent)));
        }
        let behind = ranks(&after, |beat| beat.as_ref().is_some_and(|beat| beat.place < place));
        if behind.is_empty() || waited < self.timeout {
            return error.into();
        }
        let seconds = self.timeout.as_secs();
        anyhow::anyhow!("{} hangs: waited {seconds} s for it (--dist-timeout){HINT}", named(&behind))
    }

    fn store_is_gone(&self) -> anyhow::Error {
        if self.world.has_agent {
            anyhow::anyhow!("torchrun at {}:{} does not answer any more", self.world.host, self.world.port)
        } else {
            anyhow::anyhow!("{}", gone("rank 0"))
        }
    }

    /// What process 0 says under a key, however long it takes, if it lives.
    pub(super) fn wait_for_main(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let (mut last, mut alive) = (None, Instant::now());
        let mut looked = Instant::now();
        loop {
            if let Some(value) = self.pulse.get(key) {
                return Ok(value);
            }
            // More often than a process that fails waits, seldom enough for hundreds of processes.
            if looked.elapsed() > INTERVAL / 2 {
                looked = Instant::now();
                let beats = match self.pulse.beats() {
                    Err(NoAnswer::Gone) => return Err(self.store_is_gone()),
                    Err(NoAnswer::Late) => Vec::new(),
                    Ok(beats) => beats,
                };
                if let Some(reason) = first_ended(&beats) {
                    anyhow::bail!(reason);
                }
                let count = beats.first().and_then(|beat| beat.as_ref()).map(|beat| beat.count);
                if count.is_some() && count != last {
                    (last, alive) = (count, Instant::now());
                }
                anyhow::ensure!(alive.elapsed() < self.timeout, gone("rank 0"));
            }
            thread::sleep(LOOK);
        }
    }
}

/// Behind messages of an end that costs steps.
const HINT: &str = "\nhint: --resume goes on from the last checkpoint";

/// What is said of one that says nothing.
fn gone(who: &str) -> String {
    format!("{who} does not answer any more: killed, or cut off{HINT}")
}

/// What the others' last words are, if there are any.
fn first_ended(beats: &[Option<Beat>]) -> Option<String> {
    let mut words = (0..).zip(beats).filter_map(|(rank, beat)| Some((rank, beat.as_ref()?.ended.as_ref()?)));
    words.next().map(|(rank, why)| format!("rank {rank} has ended: {why}"))
}

/// Waits until the others know why this process ends: the store goes with it. Not for those that are silent.
pub(super) fn linger(pulse: &Pulse) {
    let began = Instant::now();
    let mut counts = Vec::new();
    while let Ok(beats) = pulse.beats()
        && began.elapsed() < LINGER
    {
        counts.resize(beats.len(), (0, began));
        let is_coming = |((count, since), beat): (&mut (u64, Instant), &Option<Beat>)| {
            let Some(beat) = beat.as_ref().filter(|beat| beat.ended.is_none()) else { return false };
            if beat.count != *count {
                (*count, *since) = (beat.count, Instant::now());
            }
            since.elapsed() < INTERVAL * 2
        };
        if !counts.iter_mut().zip(&beats).map(is_coming).fold(false, |any, one| any | one) {
            return;
        }
        thread::sleep(LOOK);
    }
}

/// The ranks of which something is true.
pub(super) fn ranks(beats: &[Option<Beat>], is: impl Fn(&Option<Beat>) -> bool) -> Vec<usize> {
    (0..).zip(beats).filter(|(_, beat)| is(beat)).map(|(rank, _)| rank).collect()
}

/// Such as `rank 1`, or `rank 1, 3`.
pub(super) fn named(ranks: &[usize]) -> String {
    format!("rank {}", ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}
