//! Repeating a request while that may help, after pauses.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::failure::{Failure, Verdict};
use super::notices::{Notice, NoticeKind};

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

/// Calls `attempt` until it succeeds, fails for good, or `stop` becomes true, and at most `max_retries` times after
/// the first; `notify` is told of every pause.
///
/// # Errors
/// The failure of the last attempt. If it was a transient one, it now concerns this request only. Or
/// [`Verdict::Stopped`] when the run is ending.
pub(super) async fn retry<T, F: Future<Output = Result<T, Failure>>>(
    max_retries: u32,
    mut stop: watch::Receiver<bool>,
    notify: impl Fn(Notice),
    attempt: impl Fn() -> F,
) -> Result<T, Failure> {
    let mut retries = 0;
    loop {
        let failure = match attempt().await {
            Ok(reply) => return Ok(reply),
            Err(failure) => failure,
        };
        let requested = match failure.verdict {
            Verdict::Retry(requested) => requested,
            Verdict::Reconnect => None,
            Verdict::Request | Verdict::Fatal | Verdict::BudgetExhausted | Verdict::Stopped => return Err(failure),
        };
        if retries == max_retries {
            return Err(failure.given_up(retries + 1));
        }
        // Jitter even after a pause that the server chose, so that all who were told the same do not come back at
        // once.
        let pause = requested
            .map_or_else(|| jittered(retries), |requested| requested.min(MAX_SERVER_PAUSE).saturating_add(jittered(0)));
        retries += 1;
        let text = format!("retry {retries} of {max_retries} in {:.1} s: {failure}", pause.as_secs_f64());
        let kind = match requested {
            _ if pause <= NOTICEABLE_WAIT => NoticeKind::Detail,
            Some(_) if failure.is_overload => NoticeKind::Overload,
            _ => NoticeKind::Wait,
        };
        notify(Notice { kind, text });
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => return Err(Failure::stopped()),
        }
    }
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
