//! What the pace knows; time comes from outside.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::Limits;
use super::headers::Allowance;
use super::limit::Limit;
use crate::llm::retry::{LONGEST, jittered};

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
    At(Instant),
    WhenOneIsBack,
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
        let ready = self.resume.max(self.requests.ready(1.0, now)).max(self.tokens.ready(tokens, now));
        if ready > now {
            return Ready::At(ready);
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

    /// One that went out at `since` was refused; says how many may be in flight from now on, if that is news.
    pub(super) fn was_refused(&mut self, since: Instant, asked: Option<Duration>, now: Instant) -> Option<usize> {
        let is_new = self.slowed.is_none_or(|slowed| since > slowed);
        if is_new {
            self.slowed = Some(now);
            self.streak = self.streak.saturating_add(1);
            self.allowed = (self.allowed / 2.0).max(1.0);
        }
        // Another refusal of the same round lengthens the pause only when it says so.
        let pause = match asked {
            Some(asked) => asked.min(LONGEST),
            None if is_new => jittered(self.streak - 1),
            None => Duration::ZERO,
        };
        self.resume = self.resume.max(now + pause);
        is_new.then_some(self.allowed as usize)
    }

    /// Hears what an answer's headers say.
    pub(super) fn hear(&mut self, headers: &HeaderMap, now: Instant) {
        for (kind, limit) in [("requests", &mut self.requests), ("tokens", &mut self.tokens)] {
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
            while let Ready::At(time) = state.take(tokens, now) {
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
        assert_eq!(less.take(1.0, now), Ready::At(now + SECOND / 10), "what was not needed is given back");
    }

    #[test]
    fn one_refusal_slows_all_down() {
        let (mut state, start) = state(8, None, None);
        (0..8).for_each(|_| assert_eq!(state.take(1.0, start), Ready::Now));
        assert_eq!(state.take(1.0, start), Ready::WhenOneIsBack);
        let now = start + SECOND;
        assert_eq!(state.was_refused(start, Some(5 * SECOND), now), Some(4));
        assert_eq!(state.was_refused(start, Some(9 * SECOND), now), None, "the same round");
        assert_eq!(state.was_refused(start, None, now), None);
        (0..8).for_each(|_| state.is_back());
        assert_eq!(state.take(1.0, now), Ready::At(now + 9 * SECOND), "nobody sends before");
        let now = now + 9 * SECOND;
        (0..4).for_each(|_| assert_eq!(state.take(1.0, now), Ready::Now));
        assert_eq!(state.take(1.0, now), Ready::WhenOneIsBack);
        assert_eq!(state.was_refused(now, Some(3600 * SECOND), now + SECOND), Some(2));
        (0..4).for_each(|_| state.is_back());
        assert_eq!(state.take(1.0, now + SECOND), Ready::At(now + SECOND + LONGEST), "no pause is longer");
        (0..40).for_each(|_| state.went_well(0.0));
        assert_eq!(state.allowed, 8.0, "and it recovers");
    }

    #[test]
    fn refusals_without_a_word_make_growing_pauses() {
        let (mut state, mut now) = state(4, None, None);
        let start = now;
        for _ in 0..14 {
            while let Ready::At(time) = state.take(1.0, now) {
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
