//! The state of the rate limiter. Time is a parameter, so that tests need no clock.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::limit::{Limit, SetBy};
use crate::llm::retry::{MAX_SERVER_PAUSE, jittered};
use crate::llm::retry_after::{KINDS, RateLimit};

/// A pause that ends at least this much later than the one that is known is a new one.
const NEW_PAUSE: Duration = Duration::from_secs(1);

/// The limits that the user sets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Requests in flight at once.
    pub(crate) concurrency: usize,
    /// Requests a minute.
    pub(crate) rpm: Option<u64>,
    /// Tokens a minute, of prompts and completions together.
    pub(crate) tpm: Option<u64>,
}

#[derive(Debug)]
pub(super) struct State {
    max_concurrency: f64,
    in_flight: usize,
    /// How many requests may be in flight now.
    concurrency: f64,
    /// Nothing is sent before this moment.
    resume: Instant,
    /// When the concurrency was last reduced. Refusals of requests that were sent before belong to the same round.
    reduced: Option<Instant>,
    /// Rounds of refusals since the last success.
    refused_rounds: u32,
    requests: Limit,
    tokens: Limit,
}

/// Whether a request may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes, and it now counts as in flight.
    Granted,
    At(Instant, WaitReason),
    WhenOneReturns,
}

/// The reason for which a request waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitReason {
    /// The end of the pause after a refusal.
    Refusal,
    /// A limit on `requests` or `tokens`.
    Limit(&'static str, SetBy),
}

/// How a refusal slows the requests down.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slowdown {
    /// How many requests may be in flight from now on, if that has changed.
    pub(super) concurrency: Option<usize>,
    /// How long nothing is sent, if that is longer than was known.
    pub(super) pause: Option<Duration>,
}

impl State {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let max_concurrency = limits.concurrency as f64;
        Self {
            max_concurrency,
            in_flight: 0,
            concurrency: max_concurrency,
            resume: now,
            reduced: None,
            refused_rounds: 0,
            requests: Limit::new(limits.rpm, now),
            tokens: Limit::new(limits.tpm, now),
        }
    }

    /// Admits a request of about `tokens` tokens, if it may be sent now.
    pub(super) fn admit(&mut self, tokens: f64, now: Instant) -> Admission {
        if self.in_flight >= self.concurrency as usize {
            return Admission::WhenOneReturns;
        }
        let limits = [self.requests.ready(1.0, now), self.tokens.ready(tokens, now)];
        let mut ready = (self.resume, WaitReason::Refusal);
        for ((time, set_by), kind) in limits.into_iter().zip(KINDS) {
            if time > ready.0 {
                ready = (time, WaitReason::Limit(kind, set_by));
            }
        }
        if ready.0 > now {
            return Admission::At(ready.0, ready.1);
        }
        self.in_flight += 1;
        self.requests.take(1.0, now);
        self.tokens.take(tokens, now);
        Admission::Granted
    }

    /// A request is no longer in flight.
    pub(super) fn returned(&mut self) {
        self.in_flight -= 1;
    }

    /// A request succeeded, and took `surplus` tokens less than were reserved for it.
    pub(super) fn succeeded(&mut self, surplus: f64) {
        self.refused_rounds = 0;
        self.concurrency = (self.concurrency + 1.0 / self.concurrency).min(self.max_concurrency);
        self.tokens.give_back(surplus);
    }

    /// A request that was sent at `sent` was refused; `requested` is the pause that the server asks for, if it does.
    pub(super) fn refused(&mut self, sent: Instant, requested: Option<Duration>, now: Instant) -> Slowdown {
        let is_new_round = self.reduced.is_none_or(|reduced| sent > reduced);
        if is_new_round {
            self.reduced = Some(now);
            self.refused_rounds = self.refused_rounds.saturating_add(1);
            self.concurrency = (self.concurrency / 2.0).max(1.0);
        }
        // Another refusal of the same round lengthens the pause only if it asks for that.
        let pause = match requested {
            Some(requested) => requested.min(MAX_SERVER_PAUSE),
            None if is_new_round => jittered(self.refused_rounds - 1),
            None => Duration::ZERO,
        };
        let is_longer = now + pause > self.resume + NEW_PAUSE;
        self.resume = self.resume.max(now + pause);
        Slowdown { concurrency: is_new_round.then_some(self.concurrency as usize), pause: is_longer.then_some(pause) }
    }

    /// Adopts the limits that the headers of an answer report.
    pub(super) fn update(&mut self, headers: &HeaderMap, now: Instant) {
        for (kind, limit) in KINDS.into_iter().zip([&mut self.requests, &mut self.tokens]) {
            if let Some(reported) = RateLimit::read(headers, kind) {
                limit.update(reported, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(concurrency: usize, rpm: Option<u64>, tpm: Option<u64>) -> (State, Instant) {
        let now = Instant::now();
        (State::new(Limits { concurrency, rpm, tpm }, now), now)
    }

    /// Seconds that `count` requests take, one after the other, if every answer comes at once.
    fn seconds(state: &mut State, tokens: f64, count: usize, start: Instant) -> f64 {
        let mut now = start;
        for _ in 0..count {
            while let Admission::At(time, _) = state.admit(tokens, now) {
                now = time;
            }
            state.returned();
            state.succeeded(0.0);
        }
        (now - start).as_secs_f64()
    }

    #[test]
    fn limits_a_minute_are_kept() {
        let (mut free, now) = state(8, None, None);
        assert_eq!(seconds(&mut free, 1000.0, 100, now), 0.0);
        let (mut slow, now) = state(8, Some(60), None);
        assert!((seconds(&mut slow, 1000.0, 61, now) - 60.0).abs() < 1e-3);
        let (mut slow, now) = state(8, Some(6000), Some(60_000));
        assert!((seconds(&mut slow, 1000.0, 61, now) - 60.0).abs() < 1e-3);
        let (mut less, now) = state(8, None, Some(60_000));
        assert_eq!(less.admit(1000.0, now), Admission::Granted);
        less.succeeded(900.0);
        let why = WaitReason::Limit("tokens", SetBy::User);
        assert_eq!(less.admit(1.0, now), Admission::At(now + SECOND / 10, why), "the surplus is given back");
    }

    #[test]
    fn one_refusal_slows_all_requests_down() {
        let (mut state, start) = state(8, None, None);
        (0..8).for_each(|_| assert_eq!(state.admit(1.0, start), Admission::Granted));
        assert_eq!(state.admit(1.0, start), Admission::WhenOneReturns);
        let now = start + SECOND;
        let slowed = |concurrency, pause| Slowdown { concurrency, pause };
        assert_eq!(state.refused(start, Some(5 * SECOND), now), slowed(Some(4), Some(5 * SECOND)));
        assert_eq!(state.refused(start, Some(9 * SECOND), now), slowed(None, Some(9 * SECOND)), "the same round");
        assert_eq!(state.refused(start, Some(9 * SECOND), now), slowed(None, None), "the same pause");
        assert_eq!(state.refused(start, None, now), slowed(None, None));
        (0..8).for_each(|_| state.returned());
        assert_eq!(
            state.admit(1.0, now),
            Admission::At(now + 9 * SECOND, WaitReason::Refusal),
            "nothing is sent earlier"
        );
        let now = now + 9 * SECOND;
        (0..4).for_each(|_| assert_eq!(state.admit(1.0, now), Admission::Granted));
        assert_eq!(state.admit(1.0, now), Admission::WhenOneReturns);
        assert_eq!(state.refused(now, Some(3 * MAX_SERVER_PAUSE), now + SECOND).concurrency, Some(2));
        (0..4).for_each(|_| state.returned());
        let end = now + SECOND + MAX_SERVER_PAUSE;
        assert_eq!(state.admit(1.0, now + SECOND), Admission::At(end, WaitReason::Refusal), "no pause is longer");
        (0..40).for_each(|_| state.succeeded(0.0));
        assert_eq!(state.concurrency, 8.0, "and it recovers");
    }

    #[test]
    fn refusals_without_a_requested_pause_make_growing_pauses() {
        let (mut state, mut now) = state(4, None, None);
        let start = now;
        for _ in 0..14 {
            while let Admission::At(time, _) = state.admit(1.0, now) {
                now = time;
            }
            state.returned();
            let since = now;
            now += SECOND / 1000;
            state.refused(since, None, now);
        }
        // The sum of the mean pauses is 4 minutes.
        assert!(now - start > 30 * SECOND, "{:?}", now - start);
        assert_eq!(state.concurrency, 1.0);
    }

    #[test]
    fn the_servers_limits_are_obeyed() {
        let (mut state, now) = state(8, None, None);
        let headers = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m"),
        ];
        state.update(
            &headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            now,
        );
        assert!((seconds(&mut state, 1.0, 10, now) - 10.0).abs() < 1e-3);
    }
}
