//! The `--on-error` policy.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;

use crate::{Outcome, Session};

/// Warnings about single records before they are only counted.
const SHOWN: u64 = 10;

/// What to do about a record that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop at the first one
    Fail,
    /// Warn, go on, exit with 1 at the end
    Skip,
}

/// Applies [`OnError`] and counts what was skipped, on any thread.
pub struct Skipper<'a> {
    policy: OnError,
    session: &'a Session,
    skipped: AtomicU64,
}

impl<'a> Skipper<'a> {
    /// A policy that has seen no bad record yet.
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

    /// Sums up: says how many were skipped, and how the filter ends.
    pub fn outcome(&self) -> Outcome {
        let skipped = self.skipped.load(Ordering::Relaxed);
        if skipped == 0 {
            return Outcome::Done;
        }
        self.session.warn(format!("{skipped} records skipped"));
        Outcome::Incomplete
    }
}
