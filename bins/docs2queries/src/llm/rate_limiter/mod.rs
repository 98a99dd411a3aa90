//! One rate limiter for all requests.
//!
//! It keeps the user's limits and the server's own (`x-ratelimit-*`), and reacts to refusals: after one, nothing is
//! sent for a while, and half as many requests may be in flight, growing again by one for each round that succeeds
//! (additive increase, multiplicative decrease: Chiu and Jain 1989).

mod limit;
mod state;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embtune_cli::format_duration;
use reqwest::header::HeaderMap;
use tokio::sync::{Mutex as Turnstile, Notify};
use tokio::time::{Instant, sleep_until};

pub(crate) use state::Limits;

use limit::SetBy;
use state::{Admission, State, WaitReason};

use super::lock;
use super::notices::{Notice, NoticeKind, Notices};
use super::retry::NOTICEABLE_WAIT;

/// Decides when requests may be sent.
#[derive(Debug)]
pub(super) struct RateLimiter {
    state: Mutex<State>,
    /// Only the task that holds this waits for the state to change, so that a change wakes one task and not all.
    turnstile: Turnstile<()>,
    changed: Notify,
    notices: Notices,
    /// Whether the user has been told that their own limits make requests wait.
    has_reported_own_limit: AtomicBool,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<RateLimiter>,
    sent: Instant,
    tokens: f64,
}

impl RateLimiter {
    /// A rate limiter that sends a notice of each long wait.
    pub(super) fn new(limits: Limits, notices: Notices) -> Self {
        let state = Mutex::new(State::new(limits, Instant::now()));
        let (turnstile, changed) = (Turnstile::new(()), Notify::new());
        Self { state, turnstile, changed, notices, has_reported_own_limit: AtomicBool::new(false) }
    }

    /// Waits until a request of about `tokens` tokens may be sent.
    pub(super) async fn admit(self: &Arc<Self>, tokens: u64) -> Permit {
        let tokens = tokens as f64;
        let _turn = self.turnstile.lock().await;
        let mut is_reported = false;
        loop {
            let now = Instant::now();
            let admission = lock(&self.state).admit(tokens, now);
            match admission {
                Admission::Granted => return Permit { limiter: Arc::clone(self), sent: now, tokens },
                Admission::At(time, reason) => {
                    if !is_reported && time - now > NOTICEABLE_WAIT {
                        is_reported = true;
                        self.report_wait(time - now, reason);
                    }
                    tokio::select! {
                        () = sleep_until(time) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Admission::WhenOneReturns => self.changed.notified().await,
            }
        }
    }

    /// Adopts the limits that the headers of an answer report.
    pub(super) fn update(&self, headers: &HeaderMap) {
        lock(&self.state).update(headers, Instant::now());
    }

    /// Reports how long the next request waits. The pause after a refusal was reported when it began, and the user's
    /// own limits are reported once.
    fn report_wait(&self, wait: Duration, reason: WaitReason) {
        let wait = format_duration(wait.as_secs_f64());
        let text = match reason {
            WaitReason::Refusal => return,
            WaitReason::Limit(kind, SetBy::Server) => {
                format!("waiting {wait}: the server's limit on {kind} is used up")
            }
            WaitReason::Limit(kind, SetBy::User) if !self.has_reported_own_limit.swap(true, Ordering::Relaxed) => {
                let flag = if kind == "requests" { "--rpm" } else { "--tpm" };
                format!("waiting {wait}: {flag} spreads {kind} over the minute; each of the next requests waits too")
            }
            WaitReason::Limit(_, SetBy::User) => return,
        };
        self.notices.send(Notice { kind: NoticeKind::Wait, text });
    }
}

impl Permit {
    /// Records that the request succeeded and used `tokens`, if their number is known.
    pub(super) fn succeeded(self, tokens: Option<u64>) {
        lock(&self.limiter.state).succeeded(tokens.map_or(0.0, |tokens| self.tokens - tokens as f64));
    }

    /// The server is overloaded: all requests slow down, for as long as it asks. Returns how many requests may be in
    /// flight from now on, if that has changed.
    pub(super) fn refused(self, requested: Option<Duration>) -> Option<usize> {
        let slowdown = lock(&self.limiter.state).refused(self.sent, requested, Instant::now());
        if let Some(pause) = slowdown.pause.filter(|pause| *pause > NOTICEABLE_WAIT) {
            let asked = if requested.is_some() { ", as it asks" } else { "" };
            let text = format!("server overloaded; waiting {}{asked}", format_duration(pause.as_secs_f64()));
            self.limiter.notices.send(Notice { kind: NoticeKind::Wait, text });
        }
        slowdown.concurrency
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.limiter.state).returned();
        self.limiter.changed.notify_one();
    }
}
