//! What the pace knows; time comes from outside.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::Limits;
use super::headers::{Allowance, KINDS};
use super::limit::{Limit, Whose};
use crate::llm::retry::{PATIENCE, jittered};

/// A pause that ends so much later than the one that is known is another one.
const NEWS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct State {
    most: f64,
    in_flight: usize,
    /// How many may be in flight.
    allowed: f64,
    /// Nobody sends before.
    resume: Instant,
    /// When the pace was slowed last: refusals of what went out before belong to the same round.
    slowed: Option<Instant>,
    /// Rounds of refusals since something went well.
    streak: u32,
    requests: Limit,
    tokens: Limit,
}

/// Whether a request may go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ready {
    /// It is counted as being under way.
    Now,
    At(Instant, Why),
    WhenOneIsBack,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The end of the pause after a refusal.
    Refusal,
    /// A limit of requests or tokens.
    Limit(&'static str, Whose),
}

/// What follows from a refusal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slowed {
    /// How many requests may be in flight from now on, if that is news.
    pub(super) allowed: Option<usize>,
    /// How long nobody sends, if that is longer than was known.
    pub(super) pause: Option<Duration>,
}

impl State {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        let most = limits.concurrency as f64;
        Self {
            most,
            in_flight: 0,
            allowed: most,
            resume: now,
            slowed: None,
            streak: 0,
            requests: Limit::new(limits.rpm, now),
            tokens: Limit::new(limits.tpm, now),
        }
    }

    /// Lets a request of about so many tokens go out, if it may.
    pub(super) fn take(&mut self, tokens: f64, now: Instant) -> Ready {
        if self.in_flight >= self.allowed as usize {
            return Ready::WhenOneIsBack;
        }
        let limits = [self.requests.ready(1.0, now), self.tokens.ready(tokens, now)];
        let mut ready = (self.resume, Why::Refusal);
        for ((time, whose), kind) in limits.into_iter().zip(KINDS) {
            if time > ready.0 {
                ready = (time, Why::Limit(kind, whose));
            }
        }
        if ready.0 > now {
            return Ready::At(ready.0, ready.1);
        }
        self.in_flight += 1;
        self.requests.take(1.0, now);
        self.tokens.take(tokens, now);
        Ready::Now
    }

    /// A request is no longer under way.
    pub(super) fn is_back(&mut self) {
        self.in_flight -= 1;
    }

    /// One went well, and needed so many tokens less than was taken for it.
    pub(super) fn went_well(&mut self, less: f64) {
        self.streak = 0;
        self.allowed = (self.allowed + 1.0 / self.allowed).min(self.most);
        self.tokens.give_back(less);
    }

    /// One that went out at `since` was refused, with a word on how long to wait or without.
    pub(super) fn was_refused(&mut self, since: Instant, asked: Option<Duration>, now: Instant) -> Slowed {
        let is_new = self.slowed.is_none_or(|slowed| since > slowed);
        if is_new {
            self.slowed = Some(now);
            self.streak = self.streak.saturating_add(1);
            self.allowed = (self.allowed / 2.0).max(1.0);
        }
        // Another refusal of the same round lengthens the pause only when it says so.
        let pause = match asked {
            Some(asked) => asked.min(PATIENCE),
            None if is_new => jittered(self.streak - 1),
            None => Duration::ZERO,
        };
        let is_longer = now + pause > self.resume + NEWS;
        self.resume = self.resume.max(now + pause);
        Slowed { allowed: is_new.then_some(self.allowed as usize), pause: is_longer.then_some(pause) }
    }

    /// Hears what an answer's headers say.
    pub(super) fn hear(&mut self, headers: &HeaderMap, now: Instant) {
        for (kind, limit) in KINDS.into_iter().zip([&mut self.requests, &mut self.tokens]) {
            if let Some(said) = Allowance::read(headers, kind) {
                limit.hear(said, now);
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

    /// Seconds that `count` requests take, one after the other, when answers come at once.
    fn seconds(state: &mut State, tokens: f64, count: usize, start: Instant) -> f64 {
        let mut now = start;
        for _ in 0..count {
            while let Ready::At(time, _) = state.take(tokens, now) {
                now = time;
            }
            state.is_back();
            state.went_well(0.0);
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
        assert_eq!(less.take(1000.0, now), Ready::Now);
        less.went_well(900.0);
        let why = Why::Limit("tokens", Whose::Users);
        assert_eq!(less.take(1.0, now), Ready::At(now + SECOND / 10, why), "what was not needed is given back");
    }

    #[test]
    fn one_refusal_slows_all_down() {
        let (mut state, start) = state(8, None, None);
        (0..8).for_each(|_| assert_eq!(state.take(1.0, start), Ready::Now));
        assert_eq!(state.take(1.0, start), Ready::WhenOneIsBack);
        let now = start + SECOND;
        let slowed = |allowed, pause| Slowed { allowed, pause };
        assert_eq!(state.was_refused(start, Some(5 * SECOND), now), slowed(Some(4), Some(5 * SECOND)));
        assert_eq!(state.was_refused(start, Some(9 * SECOND), now), slowed(None, Some(9 * SECOND)), "the same round");
        assert_eq!(state.was_refused(start, Some(9 * SECOND), now), slowed(None, None), "the same pause");
        assert_eq!(state.was_refused(start, None, now), slowed(None, None));
        (0..8).for_each(|_| state.is_back());
        assert_eq!(state.take(1.0, now), Ready::At(now + 9 * SECOND, Why::Refusal), "nobody sends before");
        let now = now + 9 * SECOND;
        (0..4).for_each(|_| assert_eq!(state.take(1.0, now), Ready::Now));
        assert_eq!(state.take(1.0, now), Ready::WhenOneIsBack);
        assert_eq!(state.was_refused(now, Some(3 * PATIENCE), now + SECOND).allowed, Some(2));
        (0..4).for_each(|_| state.is_back());
        let end = now + SECOND + PATIENCE;
        assert_eq!(state.take(1.0, now + SECOND), Ready::At(end, Why::Refusal), "no pause is longer");
        (0..40).for_each(|_| state.went_well(0.0));
        assert_eq!(state.allowed, 8.0, "and it recovers");
    }

    #[test]
    fn refusals_without_a_word_make_growing_pauses() {
        let (mut state, mut now) = state(4, None, None);
        let start = now;
        for _ in 0..14 {
            while let Ready::At(time, _) = state.take(1.0, now) {
                now = time;
            }
            state.is_back();
            let since = now;
            now += SECOND / 1000;
            state.was_refused(since, None, now);
        }
        // The sum of the mean pauses is 4 minutes.
        assert!(now - start > 30 * SECOND, "{:?}", now - start);
        assert_eq!(state.allowed, 1.0);
    }

    #[test]
    fn the_servers_count_is_obeyed() {
        let (mut state, now) = state(8, None, None);
        let headers = [
            ("x-ratelimit-limit-requests", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1m"),
        ];
        state.hear(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(), now);
        assert!((seconds(&mut state, 1.0, 10, now) - 10.0).abs() < 1e-3);
    }
}
