//! One limit, of requests or of tokens, by the user's word and by the server's.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::Allowance;

/// Nobody waits longer for a server's count, and a reset that would let less than one request through in this time is
/// not believed: where it is true, the server says so again when it refuses a request.
const SLOWEST: Duration = Duration::from_secs(60);

/// Says when so many more may go.
#[derive(Debug)]
pub(super) struct Limit {
    /// Seconds that one request or token takes, by the user's word.
    spacing: Option<f64>,
    /// When the next one may go by that.
    next: Instant,
    server: Option<Bucket>,
    /// What the latest request took.
    latest: f64,
}

/// Whose limit it is that something waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Users,
    Servers,
}

/// The server's count, continued between its answers.
#[derive(Debug)]
struct Bucket {
    level: f64,
    limit: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    fn level(&self, now: Instant) -> f64 {
        (self.level + (now - self.at).as_secs_f64() * self.per_second).min(self.limit)
    }
}

impl Limit {
    /// At most so many a minute, evenly spread; without a number, only what the server says counts.
    pub(super) fn new(per_minute: Option<u64>, now: Instant) -> Self {
        Self { spacing: per_minute.map(|most| 60.0 / most as f64), next: now, server: None, latest: 1.0 }
    }

    /// When `amount` may go: now, or later; and by whose word.
    pub(super) fn ready(&self, amount: f64, now: Instant) -> (Instant, Whose) {
        let own = if self.spacing.is_some() { self.next.max(now) } else { now };
        let server = self.server.as_ref().map_or(now, |bucket| {
            let missing = amount.min(bucket.limit) - bucket.level(now);
            now + seconds(missing.max(0.0) / bucket.per_second).min(SLOWEST)
        });
        if server > own { (server, Whose::Servers) } else { (own, Whose::Users) }
    }

    /// `amount` goes now.
    pub(super) fn take(&mut self, amount: f64, now: Instant) {
        self.latest = amount;
        if let Some(spacing) = self.spacing {
            self.next = self.next.max(now) + seconds(amount * spacing);
        }
        if let Some(bucket) = &mut self.server {
            (bucket.level, bucket.at) = (bucket.level(now) - amount, now);
        }
    }

    /// `less` of what was taken was not needed.
    pub(super) fn give_back(&mut self, less: f64) {
        if let Some(spacing) = self.spacing {
            let time = seconds(less.abs() * spacing);
            self.next = if less > 0.0 { self.next.checked_sub(time).unwrap_or(self.next) } else { self.next + time };
        }
    }

    /// The server's count replaces ours where it is lower: what is under way has not reached it yet.
    pub(super) fn hear(&mut self, said: Allowance, now: Instant) {
        let used = said.limit - said.remaining;
        // `reset` is when all of it is there again, whether the limit is one of a minute or of a day.
        let told = said.reset.map(|reset| used / reset.as_secs_f64());
        let is_believed = |rate: &f64| rate.is_finite() && self.latest / rate <= SLOWEST.as_secs_f64();
        let per_second = told.filter(is_believed).unwrap_or(said.limit / 60.0);
        let known = self.server.as_ref().map_or(f64::INFINITY, |bucket| bucket.level(now));
        let level = said.remaining.min(known);
        self.server = Some(Bucket { level, limit: said.limit, per_second, at: now });
    }
}

/// A time that no clock ends before.
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
        assert_eq!(wait(&limit, 1.0, later), 0.0, "an idle minute saves nothing up");
        limit.take(1.0, later);
        assert_eq!(wait(&limit, 1.0, later), 0.5);
    }

    #[test]
    fn the_servers_count_is_followed() {
        let now = Instant::now();
        let mut limit = Limit::new(None, now);
        assert_eq!(wait(&limit, 1e9, now), 0.0);
        let reset = Some(Duration::from_secs(58));
        limit.hear(Allowance { limit: 60.0, remaining: 2.0, reset }, now);
        limit.take(1.0, now);
        limit.take(1.0, now);
        assert_eq!(wait(&limit, 1.0, now), 1.0);
        // An older answer that comes late does not count what is under way.
        limit.hear(Allowance { limit: 60.0, remaining: 2.0, reset }, now);
        assert_eq!(wait(&limit, 1.0, now), 1.0);
        assert_eq!(wait(&limit, 1000.0, now), 60.0, "more than fits waits until all is there");
        limit.hear(Allowance { limit: 60.0, remaining: 0.0, reset: None }, now + Duration::from_secs(30));
        assert_eq!(wait(&limit, 1.0, now + Duration::from_secs(30)), 1.0);
    }

    #[test]
    fn a_reset_that_lets_nothing_through_is_not_believed() {
        let now = Instant::now();
        for reset in [None, Some(0), Some(86_400), Some(30 * 86_400)] {
            let mut limit = Limit::new(None, now);
            let reset = reset.map(Duration::from_secs);
            limit.hear(Allowance { limit: 60.0, remaining: 0.0, reset }, now);
            assert_eq!(limit.ready(1.0, now), (now + Duration::from_secs(1), Whose::Servers), "{reset:?}");
        }
        // A limit of a day that fills up steadily.
        let mut limit = Limit::new(None, now);
        limit.hear(Allowance { limit: 10_000.0, remaining: 0.0, reset: Some(Duration::from_secs(86_400)) }, now);
        assert_eq!(wait(&limit, 1.0, now), 8.64);
        // 1000 tokens an hour are nothing for requests of 500.
        limit.take(500.0, now);
        limit.hear(Allowance { limit: 1000.0, remaining: 0.0, reset: Some(Duration::from_secs(3600)) }, now);
        assert!(wait(&limit, 500.0, now) <= 60.0);
    }
}
