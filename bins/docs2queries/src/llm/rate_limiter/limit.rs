//! One limit, of requests or of tokens a minute, as set by the user and by the server.

use std::time::Duration;

use tokio::time::Instant;

use crate::llm::retry_after::RateLimit;

/// The longest wait for a server's limit. A reset time that would let less than one request through in this time is not
/// believed: if it is true, the server will say so again when it refuses a request.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Says when the next requests or tokens may be sent.
#[derive(Debug)]
pub(super) struct Limit {
    /// Seconds between two requests or tokens by the user's limit.
    spacing: Option<f64>,
    /// When the user's limit lets the next one through.
    next: Instant,
    server: Option<TokenBucket>,
    /// How much the latest request took.
    latest: f64,
}

/// Who set the limit that a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetBy {
    User,
    Server,
}

/// The server's limit, extrapolated between its answers.
#[derive(Debug)]
struct TokenBucket {
    level: f64,
    limit: f64,
    per_second: f64,
    at: Instant,
}

impl TokenBucket {
    fn level(&self, now: Instant) -> f64 {
        (self.level + (now - self.at).as_secs_f64() * self.per_second).min(self.limit)
    }
}

impl Limit {
    /// A limit of `per_minute`, evenly spread; without a number, only the server's limit counts.
    pub(super) fn new(per_minute: Option<u64>, now: Instant) -> Self {
        Self { spacing: per_minute.map(|most| 60.0 / most as f64), next: now, server: None, latest: 1.0 }
    }

    /// When `amount` may be sent, now or later, and whose limit says so.
    pub(super) fn ready(&self, amount: f64, now: Instant) -> (Instant, SetBy) {
        let own = if self.spacing.is_some() { self.next.max(now) } else { now };
        let server = self.server.as_ref().map_or(now, |bucket| {
            let missing = amount.min(bucket.limit) - bucket.level(now);
            now + seconds(missing.max(0.0) / bucket.per_second).min(MAX_WAIT)
        });
        if server > own { (server, SetBy::Server) } else { (own, SetBy::User) }
    }

    /// `amount` is sent now.
    pub(super) fn take(&mut self, amount: f64, now: Instant) {
        self.latest = amount;
        if let Some(spacing) = self.spacing {
            self.next = self.next.max(now) + seconds(amount * spacing);
        }
        if let Some(bucket) = &mut self.server {
            (bucket.level, bucket.at) = (bucket.level(now) - amount, now);
        }
    }

    /// `surplus` of what was taken was not needed; if it is negative, more was needed.
    pub(super) fn give_back(&mut self, surplus: f64) {
        if let Some(spacing) = self.spacing {
            let time = seconds(surplus.abs() * spacing);
            self.next = if surplus > 0.0 { self.next.checked_sub(time).unwrap_or(self.next) } else { self.next + time };
        }
    }

    /// Adopts the state that the server reports. A lower local count is kept, because the server does not know
    /// yet what is on its way to it.
    pub(super) fn update(&mut self, reported: RateLimit, now: Instant) {
        let used = reported.limit - reported.remaining;
        // `reset` is the time until all is available again, whether the limit is one of a minute or of a day.
        let refill = reported.reset.map(|reset| used / reset.as_secs_f64());
        let is_plausible = |rate: &f64| rate.is_finite() && self.latest / rate <= MAX_WAIT.as_secs_f64();
        let per_second = refill.filter(is_plausible).unwrap_or(reported.limit / 60.0);
        let known = self.server.as_ref().map_or(f64::INFINITY, |bucket| bucket.level(now));
        let level = reported.remaining.min(known);
        self.server = Some(TokenBucket { level, limit: reported.limit, per_second, at: now });
    }
}

/// A duration that an [`Instant`] can be advanced by.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(limit: &Limit, amount: f64, now: Instant) -> f64 {
        (limit.ready(amount, now).0 - now).as_secs_f64()
    }

    #[test]
    fn the_users_limit_spreads_evenly() {
        let now = Instant::now();
        let mut limit = Limit::new(Some(120), now);
        assert_eq!(wait(&limit, 1.0, now), 0.0);
        limit.take(1.0, now);
        limit.take(1.0, now);
        assert_eq!(wait(&limit, 1.0, now), 1.0);
        limit.give_back(1.0);
        assert_eq!(wait(&limit, 1.0, now), 0.5);
        limit.give_back(-2.0);
        assert_eq!(wait(&limit, 1.0, now), 1.5);
        let later = now + Duration::from_secs(60);
        assert_eq!(wait(&limit, 1.0, later), 0.0, "an idle minute is not saved up");
        limit.take(1.0, later);
        assert_eq!(wait(&limit, 1.0, later), 0.5);
    }

    #[test]
    fn the_servers_limit_is_followed() {
        let now = Instant::now();
        let mut limit = Limit::new(None, now);
        assert_eq!(wait(&limit, 1e9, now), 0.0);
        let reset = Some(Duration::from_secs(58));
        limit.update(RateLimit { limit: 60.0, remaining: 2.0, reset }, now);
        limit.take(1.0, now);
        limit.take(1.0, now);
        assert_eq!(wait(&limit, 1.0, now), 1.0);
        // A late answer does not count the requests that are on their way.
        limit.update(RateLimit { limit: 60.0, remaining: 2.0, reset }, now);
        assert_eq!(wait(&limit, 1.0, now), 1.0);
        assert_eq!(wait(&limit, 1000.0, now), 60.0, "more than the limit waits for all of it");
        limit.update(RateLimit { limit: 60.0, remaining: 0.0, reset: None }, now + Duration::from_secs(30));
        assert_eq!(wait(&limit, 1.0, now + Duration::from_secs(30)), 1.0);
    }

    #[test]
    fn a_reset_that_lets_nothing_through_is_not_believed() {
        let now = Instant::now();
        for reset in [None, Some(0), Some(86_400), Some(30 * 86_400)] {
            let mut limit = Limit::new(None, now);
            let reset = reset.map(Duration::from_secs);
            limit.update(RateLimit { limit: 60.0, remaining: 0.0, reset }, now);
            assert_eq!(limit.ready(1.0, now), (now + Duration::from_secs(1), SetBy::Server), "{reset:?}");
        }
        // A daily limit that refills steadily.
        let mut limit = Limit::new(None, now);
        limit.update(RateLimit { limit: 10_000.0, remaining: 0.0, reset: Some(Duration::from_secs(86_400)) }, now);
        assert_eq!(wait(&limit, 1.0, now), 8.64);
        // 1000 tokens an hour would hold requests of 500 tokens up for too long.
        limit.take(500.0, now);
        limit.update(RateLimit { limit: 1000.0, remaining: 0.0, reset: Some(Duration::from_secs(3600)) }, now);
        assert!(wait(&limit, 500.0, now) <= 60.0);
    }
}
