//! One limit, of requests or of tokens, by the user's word and by the server's.

use std::time::Duration;

use tokio::time::Instant;

use super::headers::Allowance;

/// Says when so many more may go.
#[derive(Debug)]
pub(super) struct Limit {
    /// Seconds that one request or token takes, by the user's word.
    spacing: Option<f64>,
    /// When the next one may go by that.
    next: Instant,
    server: Option<Bucket>,
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
        Self { spacing: per_minute.map(|most| 60.0 / most as f64), next: now, server: None }
    }

    /// When `amount` may go: now, or later.
    pub(super) fn ready(&self, amount: f64, now: Instant) -> Instant {
        let own = if self.spacing.is_some() { self.next.max(now) } else { now };
        let server = self.server.as_ref().map_or(now, |bucket| {
            let missing = amount.min(bucket.limit) - bucket.level(now);
            now + seconds(missing.max(0.0) / bucket.per_second)
        });
        own.max(server)
    }

    /// `amount` goes now.
    pub(super) fn take(&mut self, amount: f64, now: Instant) {
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
        let per_second = match said.reset.map(|reset| reset.as_secs_f64()) {
            // `reset` is when all of it is there again, whether the limit is one of a minute or of a day.
            Some(reset) if reset > 0.0 && used > 0.0 => used / reset,
            _ => said.limit / 60.0,
        };
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
        (limit.ready(amount, now) - now).as_secs_f64()
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
}
