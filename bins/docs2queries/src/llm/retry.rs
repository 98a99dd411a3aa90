//! How often, and after which pauses, a request is repeated.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::client::{Failure, Verdict};
use super::note::{LONG, Note};

/// The longest first pause.
const BASE: Duration = Duration::from_millis(500);
/// The longest pause that nobody asks for.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest pause that a server may ask for: the limits of an hour pass meanwhile, those of a day do not.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);

/// Repeats a request while that may help.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    /// Attempts after the first.
    pub(crate) most: u32,
}

impl Retry {
    /// Calls `attempt` until it succeeds, fails for good, or `stop` says true; `note` hears of every pause.
    ///
    /// # Errors
    /// The last attempt's failure, of which one that might have passed at last concerns only its document; or that the
    /// run is ending.
    pub(crate) async fn run<T, F: Future<Output = Result<T, Failure>>>(
        self,
        mut stop: watch::Receiver<bool>,
        note: impl Fn(Note),
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure> {
        let mut retries = 0;
        loop {
            let failure = match attempt().await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let asked = match failure.verdict {
                Verdict::Retry(asked) => asked,
                Verdict::Reconnect => None,
                Verdict::Document | Verdict::Run | Verdict::Cap | Verdict::Stopped => return Err(failure),
            };
            if retries == self.most {
                return Err(failure.given_up(retries + 1));
            }
            // Those who were asked for the same pause do not all come back at its end.
            let pause =
                asked.map_or_else(|| jittered(retries), |asked| asked.min(PATIENCE).saturating_add(jittered(0)));
            retries += 1;
            let most = self.most;
            let text = format!("retry {retries} of {most} in {:.1} s: {failure}", pause.as_secs_f64());
            note(match asked {
                _ if pause <= LONG => Note::detail(text),
                Some(_) if failure.is_refusal => Note::refusal(text),
                _ => Note::wait(text),
            });
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return Err(Failure::stopped()),
            }
        }
    }
}

/// A pause of exponentially growing length with full jitter: many that failed at once do not come back at once
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
pub(super) fn jittered(retries: u32) -> Duration {
    let ceiling = BASE.saturating_mul(2_u32.saturating_pow(retries)).min(LONGEST);
    rand::random_range(Duration::ZERO..=ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        for (retries, ceiling) in [(0, 0.5), (1, 1.0), (4, 8.0), (9, 60.0), (u32::MAX, 60.0)] {
            let pauses: Vec<f64> = (0..100).map(|_| jittered(retries).as_secs_f64()).collect();
            assert!(pauses.iter().all(|pause| *pause <= ceiling), "{pauses:?}");
            assert!(
                pauses.iter().any(|pause| *pause > ceiling / 2.0) && pauses.iter().any(|pause| *pause < ceiling / 2.0)
            );
        }
    }
}
