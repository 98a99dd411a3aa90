//! How fast requests go out: one pace for all of them.
//!
//! It is set by the user's limits, by the server's own counts (`x-ratelimit-*`), and by its refusals: after one, nobody
//! sends for a while, and half as many are in flight from then on, growing again by one for each round that goes well
//! (additive increase, multiplicative decrease: Chiu and Jain 1989).

mod headers;
mod limit;
mod state;
mod time;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embtune_cli::format_duration;
use reqwest::header::HeaderMap;
use tokio::sync::{Mutex as Turnstile, Notify};
use tokio::time::{Instant, sleep_until};

pub(crate) use headers::{asked, retry_after};

use limit::Whose;
use state::{Ready, State, Why};

use super::note::{LONG, Note, Notes};

/// The limits that the user sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests in flight at once.
    pub(crate) concurrency: usize,
    /// Requests a minute.
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute, of prompts and completions.
    pub(crate) tpm: Option<u64>,
}

/// The pace of all requests of a run.
#[derive(Debug)]
pub(crate) struct Pace {
    state: Mutex<State>,
    /// The head of the queue waits for the state, and all others for their turn: one change wakes one task.
    turnstile: Turnstile<()>,
    changed: Notify,
    notes: Notes,
    /// Whether it was said that the user's own limits make requests wait: they know it from then on.
    is_told: AtomicBool,
}

/// The right to one request in flight.
#[derive(Debug)]
pub(crate) struct Permit {
    pace: Arc<Pace>,
    since: Instant,
    tokens: f64,
}

impl Pace {
    /// A pace within these limits, which tells of long waits.
    pub(crate) fn new(limits: Limits, notes: Notes) -> Self {
        let state = Mutex::new(State::new(limits, Instant::now()));
        let (turnstile, changed) = (Turnstile::new(()), Notify::new());
        Self { state, turnstile, changed, notes, is_told: AtomicBool::new(false) }
    }

    /// Waits until a request of about so many tokens may go out.
    pub(crate) async fn admit(self: &Arc<Self>, tokens: u64) -> Permit {
        let tokens = tokens as f64;
        let _turn = self.turnstile.lock().await;
        let mut is_said = false;
        loop {
            let now = Instant::now();
            let ready = self.state().take(tokens, now);
            match ready {
                Ready::Now => return Permit { pace: Arc::clone(self), since: now, tokens },
                Ready::At(time, why) => {
                    if !is_said && time - now > LONG {
                        is_said = true;
                        self.tell(time - now, why);
                    }
                    tokio::select! {
                        () = sleep_until(time) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Ready::WhenOneIsBack => self.changed.notified().await,
            }
        }
    }

    /// Hears what an answer's headers say.
    pub(crate) fn hear(&self, headers: &HeaderMap) {
        self.state().hear(headers, Instant::now());
    }

    /// Says that the next request waits so long; of the pause after a refusal that was said when it began.
    fn tell(&self, wait: Duration, why: Why) {
        let wait = format_duration(wait.as_secs_f64());
        let text = match why {
            Why::Refusal => return,
            Why::Limit(kind, Whose::Servers) => format!("waiting {wait}: the server's limit of {kind} is used up"),
            Why::Limit(kind, Whose::Users) if !self.is_told.swap(true, Ordering::Relaxed) => {
                let flag = if kind == headers::KINDS[0] { "--rpm" } else { "--tpm" };
                format!("waiting {wait}: no more {kind} a minute by {flag}; each of the next requests waits too")
            }
            Why::Limit(_, Whose::Users) => return,
        };
        self.notes.send(Note::wait(text));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is whole before the next begins, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The request went well, and took so many tokens if that is known.
    pub(crate) fn went_well(self, tokens: Option<u64>) {
        self.pace.state().went_well(tokens.map_or(0.0, |tokens| self.tokens - tokens as f64));
    }

    /// The server has too much to do: all slow down, for as long as it asks. Says how many requests may be in flight from
    /// now on, if that is news.
    pub(crate) fn was_refused(self, asked: Option<Duration>) -> Option<usize> {
        let slowed = self.pace.state().was_refused(self.since, asked, Instant::now());
        if let Some(pause) = slowed.pause.filter(|pause| *pause > LONG) {
            let whose = if asked.is_some() { "the server asks for that, " } else { "the server refused a request, " };
            let text = format!("waiting {}: {whose}as it has too much to do", format_duration(pause.as_secs_f64()));
            self.pace.notes.send(Note::wait(text));
        }
        slowed.allowed
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.pace.state().is_back();
        self.pace.changed.notify_one();
    }
}
