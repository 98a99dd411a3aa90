//! Failed requests: the error, and what to do about it.

use std::error::Error;
use std::time::Duration;

use embtune_cli::counted;
use serde_json::Value;

use super::budget::Tokens;

/// A request that got no usable reply.
#[derive(Debug, thiserror::Error)]
#[error("{message}{}", .hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub(crate) struct Failure {
    /// The error, without the hint.
    pub(crate) message: String,
    pub(super) hint: Option<&'static str>,
    /// What to do about it.
    pub(crate) verdict: Verdict,
    /// Why there is no answer, if the failure concerns this request alone.
    pub(crate) kind: FailureKind,
    /// Whether the server is overloaded, so that all other requests should wait too.
    pub(crate) is_overload: bool,
    /// Whether the server takes no request of this form. If it has taken others, which differ in their content only,
    /// then it is the content that is at fault.
    pub(crate) is_rejection: bool,
    /// Whether the server does not have the requested object, or no longer has it.
    pub(crate) is_gone: bool,
    /// Whether the server may have done the work, and may charge for it.
    pub(crate) may_cost: bool,
    /// The server's answer with its token counts, if it says what the failed request cost.
    pub(crate) paid: Option<Box<PaidError>>,
}

/// An answer that is an error but was charged for.
#[derive(Debug)]
pub(crate) struct PaidError {
    pub(crate) tokens: Tokens,
    pub(crate) body: Value,
}

/// What to do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is transient: try again, after this pause if the server named one. If it persists, other requests may still
    /// succeed.
    Retry(Option<Duration>),
    /// The server cannot be reached: try again. If that does not help, no request will succeed.
    Reconnect,
    /// This request cannot succeed; others can.
    Request,
    /// No request will succeed.
    Fatal,
    /// A cap on money or tokens leaves no room for the request.
    BudgetExhausted,
    /// The run is ending, for a reason that is reported elsewhere.
    Stopped,
}

/// Why one request has no usable reply while others have theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FailureKind {
    /// The prompt is longer than the model's context.
    TooLong,
    /// The server takes other requests, and rejects this one for a reason that we do not understand.
    Rejected,
    /// The server's moderation turned the request away, or stopped the reply.
    Moderated,
    /// The model declined.
    Refused,
    /// The reply has no text.
    Empty,
    /// The reply ended before the first answer in it was complete.
    CutOff,
    /// The reply has text, but no answer in it.
    NoAnswer,
    /// The server gave no proper reply in any of the attempts.
    Server,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, hint: Option<&'static str>, verdict: Verdict) -> Self {
        Self {
            message: message.into(),
            hint,
            verdict,
            kind: FailureKind::Server,
            is_overload: false,
            is_rejection: false,
            is_gone: false,
            may_cost: false,
            paid: None,
        }
    }

    /// A failure of our own that ends the run, such as a full disk.
    pub(super) fn fatal(error: anyhow::Error) -> Self {
        Self::new(format!("{error:#}"), None, Verdict::Fatal)
    }

    /// The failure of a request that is not sent, or not again, because the run is ending.
    pub(crate) fn stopped() -> Self {
        Self::new("the run is ending", None, Verdict::Stopped)
    }

    /// No answer, or only a part of one, although it was waited for as long as `timeout`; `was_reached` says whether
    /// the server has ever answered.
    pub(super) fn of_transport(error: reqwest::Error, was_reached: bool, timeout: Duration) -> Self {
        let error = error.without_url();
        if error.is_timeout() && error.is_connect() {
            let hint = Some("is the server running, and is its address right (--base-url)?");
            return Self::new("timed out connecting to the server", hint, Verdict::Retry(None)).possibly_paid();
        }
        if error.is_timeout() {
            return Self::timed_out(timeout);
        }
        let cause = root_cause(&error);
        if error.is_connect() {
            let hint = Some("is the server running, and is its address right (--base-url)?");
            let verdict = if was_reached { Verdict::Reconnect } else { Verdict::Fatal };
            return Self::new(format!("cannot connect to the server: {cause}"), hint, verdict);
        }
        let verdict = if error.is_builder() { Verdict::Fatal } else { Verdict::Retry(None) };
        Self::new(format!("the connection failed: {cause}"), None, verdict).possibly_paid()
    }

    /// No answer within the time limit.
    pub(super) fn timed_out(timeout: Duration) -> Self {
        let message = format!("timed out after {} s waiting for the server", timeout.as_secs());
        Self::new(message, Some("raise --timeout-secs"), Verdict::Retry(None)).possibly_paid()
    }

    /// The failure at a server that has taken other requests.
    #[must_use]
    pub(super) fn beside_others(self) -> Self {
        if !self.is_rejection {
            return self;
        }
        Self { verdict: Verdict::Request, kind: FailureKind::Rejected, ..self }
    }

    /// The failure of a request that the server may have worked on.
    #[must_use]
    pub(super) fn possibly_paid(self) -> Self {
        Self { may_cost: true, ..self }
    }

    /// The failure after the last attempt.
    #[must_use]
    pub(super) fn given_up(mut self, attempts: u32) -> Self {
        let attempts = counted(attempts.into(), "attempt", "attempts");
        self.message.push_str(&format!(" (gave up after {attempts})"));
        self.verdict = if self.verdict == Verdict::Reconnect { Verdict::Fatal } else { Verdict::Request };
        self.kind = FailureKind::Server;
        self
    }
}

/// The innermost cause of an error; the outer ones say only that they failed too.
pub(super) fn root_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}
