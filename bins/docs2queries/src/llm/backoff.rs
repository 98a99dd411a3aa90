//! How long to pause before trying again.

use std::time::Duration;

/// A longer wait is reported, so that nobody takes it for a hang.
pub(super) const NOTICEABLE_WAIT: Duration = Duration::from_secs(5);
/// The longest pause that a server may ask for. Hourly limits pass in this time; daily ones do not.
pub(super) const MAX_SERVER_PAUSE: Duration = Duration::from_secs(3600);

/// The ceiling of the first pause.
const BASE: Duration = Duration::from_millis(500);
/// The longest pause that we choose ourselves.
const MAX_OWN_PAUSE: Duration = Duration::from_secs(60);

/// A random pause below an exponentially growing ceiling ("full jitter"), so that requests that failed together do not
/// come back together (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(super) fn jittered(retries: u32) -> Duration {
    let ceiling = BASE.saturating_mul(2_u32.saturating_pow(retries)).min(MAX_OWN_PAUSE);
    rand::random_range(Duration::ZERO..=ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_ceiling() {
        for (retries, ceiling) in [(0, 0.5), (1, 1.0), (4, 8.0), (9, 60.0), (u32::MAX, 60.0)] {
            let pauses: Vec<f64> = (0..100).map(|_| jittered(retries).as_secs_f64()).collect();
            assert!(pauses.iter().all(|pause| *pause <= ceiling), "{pauses:?}");
            assert!(
                pauses.iter().any(|pause| *pause > ceiling / 2.0) && pauses.iter().any(|pause| *pause < ceiling / 2.0)
            );
        }
    }
}
