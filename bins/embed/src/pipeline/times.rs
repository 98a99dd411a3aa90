//! How long each stage worked, and which one is the limit.

use std::fmt;
use std::time::{Duration, Instant};

/// Tells work from waiting, on one thread.
pub(crate) struct Clock {
    start: Instant,
    waited: Duration,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), waited: Duration::ZERO }
    }

    /// Waits for another stage.
    pub(crate) fn wait<T>(&mut self, other: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let result = other();
        self.waited += since.elapsed();
        result
    }

    /// All time but that of waiting.
    pub(crate) fn worked(self) -> Duration {
        self.start.elapsed() - self.waited
    }
}

/// How long each stage worked; it waited for the others the rest of the time.
pub(crate) struct Times {
    /// Reading and parsing, and waiting for what writes to a pipe.
    pub(crate) read: Duration,
    pub(crate) tokenise: Duration,
    pub(crate) infer: Duration,
    pub(crate) write: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = [("read", self.read), ("tokenise", self.tokenise), ("infer", self.infer), ("write", self.write)];
        for (name, worked) in stages {
            write!(f, "{name} {:.1} s, ", worked.as_secs_f64())?;
        }
        let (limit, _) = stages.into_iter().max_by_key(|(_, worked)| *worked).unwrap_or_default();
        write!(f, "side by side; the limit is {limit}")
    }
}
