//! The `--on-error` policy.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;

use crate::{Outcome, Session, counted};

/// This many bad records are reported one by one, so that the messages remain readable; the rest are only counted.
const SHOWN: u64 = 10;

/// The policy on records that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop at the first one
    Fail,
    /// Warn, continue, exit with 1 at the end
    Skip,
}

/// Applies [`OnError`] and counts skipped records, on any thread.
pub struct Skipper<'a> {
    policy: OnError,
    session: &'a Session,
    skipped: AtomicU64,
}

impl<'a> Skipper<'a> {
    /// A policy, with no record skipped yet.
    pub fn new(policy: OnError, session: &'a Session) -> Self {
        Self { policy, session, skipped: AtomicU64::new(0) }
    }

    /// Reports a bad record: an error under `fail`, a warning under `skip`.
    ///
    /// # Errors
    /// The record's own error, under `fail`.
    pub fn bad<E: Display + Into<anyhow::Error>>(&self, error: E) -> anyhow::Result<()> {
        if self.policy == OnError::Fail {
            return Err(error.into());
        }
        if self.skipped.fetch_add(1, Ordering::Relaxed) < SHOWN {
            self.session.warn(format!("skipped: {error}"));
        }
        Ok(())
    }

    /// Reports how many records were skipped, and returns the filter's outcome.
    pub fn outcome(&self) -> Outcome {
        let skipped = self.skipped.load(Ordering::Relaxed);
        if skipped == 0 {
            return Outcome::Done;
        }
        self.session.warn(format!("{} skipped", counted(skipped, "record", "records")));
        Outcome::Incomplete
    }
}
