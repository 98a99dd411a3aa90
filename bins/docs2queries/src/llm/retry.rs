//! Repeating a request while that may help.

use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff::{MAX_SERVER_PAUSE, NOTICEABLE_WAIT, jittered};
use super::failure::{Failure, Verdict};
use super::notices::Notice;

/// How often a request is repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Attempts after the first.
    pub(crate) max_retries: u32,
}

impl RetryPolicy {
    /// Calls `attempt` until it succeeds, fails for good, or `stop` becomes true, and reports every pause to `notify`.
    ///
    /// # Errors
    /// The failure of the last attempt. If it was a transient one, it now concerns this request only. Or
    /// [`Verdict::Stopped`] when the run is ending.
    pub(crate) async fn run<T, F: Future<Output = Result<T, Failure>>>(
        self,
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
            if retries == self.max_retries {
                return Err(failure.given_up(retries + 1));
            }
            // Jitter even after a pause that the server chose, so that clients with the same pause do not come back at
            // once.
            let pause = requested.map_or_else(
                || jittered(retries),
                |requested| requested.min(MAX_SERVER_PAUSE).saturating_add(jittered(0)),
            );
            retries += 1;
            let most = self.max_retries;
            let text = format!("retry {retries} of {most} in {:.1} s: {failure}", pause.as_secs_f64());
            notify(match requested {
                _ if pause <= NOTICEABLE_WAIT => Notice::detail(text),
                Some(_) if failure.is_overload => Notice::overload(text),
                _ => Notice::wait(text),
            });
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return Err(Failure::stopped()),
            }
        }
    }
}
