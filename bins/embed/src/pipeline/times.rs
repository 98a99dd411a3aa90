//! How long each stage worked, and which one limits the speed.

use std::fmt;
use std::time::{Duration, Instant};

/// Measures the time of a thread, without the time that it waits for other stages.
pub(crate) struct WorkTimer {
    start: Instant,
    waited: Duration,
}

impl WorkTimer {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), waited: Duration::ZERO }
    }

    /// Runs code that waits for another stage.
    pub(crate) fn wait<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = wait();
        self.waited += start.elapsed();
        result
    }

    /// The time since the start without the waiting.
    pub(crate) fn worked(self) -> Duration {
        self.start.elapsed() - self.waited
    }
}

/// How long each stage worked; the rest of the time, it waited for the others.
pub(crate) struct StageTimes {
    /// Reading and parsing, and waiting for the program at the other end of a pipe.
    pub(crate) read: Duration,
    pub(crate) tokenize: Duration,
    pub(crate) infer: Duration,
    pub(crate) write: Duration,
}

impl fmt::Display for StageTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = [("read", self.read), ("tokenise", self.tokenize), ("infer", self.infer), ("write", self.write)];
        for (name, worked) in stages {
            write!(f, "{name} {:.1} s, ", worked.as_secs_f64())?;
        }
        let (limit, _) = stages.into_iter().max_by_key(|(_, worked)| *worked).unwrap_or_default();
        write!(f, "in parallel; the slowest stage is {limit}")
    }
}
