//! What went wrong with a request, and what follows from it.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;

use super::Secrets;
use crate::llm::budget::Tokens;
use crate::llm::trouble::Trouble;

/// A request that brought no reply.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default())]
pub(crate) struct Failure {
    pub(super) what: String,
    pub(super) hint: Option<&'static str>,
    /// What to do about it.
    pub(crate) verdict: Verdict,
    /// Why its document has no queries, when it is this document's trouble alone.
    pub(crate) trouble: Trouble,
    /// Whether the server has too much to do, so that others had better wait too.
    pub(crate) is_refusal: bool,
    /// Whether the server takes no request of this form. Where it has taken others, which differ in their document
    /// only, that is the document's trouble.
    pub(crate) is_rejection: bool,
    /// Whether what was asked for is no longer at the server, if it ever was.
    pub(crate) is_gone: bool,
    /// Whether the server may have done the work, and may charge for it.
    pub(crate) may_cost: bool,
    /// The answer that holds the error and says what it took, which is kept with the paid replies.
    pub(crate) paid: Option<Box<Paid>>,
}

/// An answer that is no reply, and has cost something all the same.
#[derive(Debug)]
pub(crate) struct Paid {
    pub(crate) tokens: Tokens,
    pub(crate) body: Value,
}

/// What to do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass: ask again, after this pause when the server named one. If it does not, others can be asked about.
    Retry(Option<Duration>),
    /// The server went away: ask again. If it stays away, no request will succeed.
    Reconnect,
    /// This document cannot be asked about; others can.
    Document,
    /// No request will succeed.
    Run,
    /// A cap on money or tokens leaves no room for it.
    Cap,
    /// The run is ending, for a reason of its own.
    Stopped,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>, hint: Option<&'static str>, verdict: Verdict) -> Self {
        Self {
            what: what.into(),
            hint,
            verdict,
            trouble: Trouble::Server,
            is_refusal: false,
            is_rejection: false,
            is_gone: false,
            may_cost: false,
            paid: None,
        }
    }

    /// The same where the server has taken other requests.
    #[must_use]
    pub(crate) fn beside_others(self) -> Self {
        if !self.is_rejection {
            return self;
        }
        Self { verdict: Verdict::Document, trouble: Trouble::Rejected, ..self }
    }

    /// The failure of a request that the server may have worked on.
    pub(super) fn possibly_paid(self) -> Self {
        Self { may_cost: true, ..self }
    }

    /// No answer, or not the whole of one; `reached` says whether the server has ever answered.
    pub(crate) fn of_transport(error: reqwest::Error, reached: bool) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            let hint = Some("raise --timeout-secs");
            return Self::new("the server did not answer in time", hint, Verdict::Retry(None)).possibly_paid();
        }
        let cause = root_cause(&error);
        if error.is_connect() {
            let hint = Some("is the server running, and is its address right (--base-url)?");
            let verdict = if reached { Verdict::Reconnect } else { Verdict::Run };
            return Self::new(format!("cannot connect to the server: {cause}"), hint, verdict);
        }
        let verdict = if error.is_builder() { Verdict::Run } else { Verdict::Retry(None) };
        Self::new(format!("the connection failed: {cause}"), None, verdict).possibly_paid()
    }

    /// The failure after which no further attempt is made.
    pub(crate) fn given_up(mut self, attempts: u32) -> Self {
        self.what = format!("{} (attempt {attempts}, the last)", self.what);
        self.verdict = if self.verdict == Verdict::Reconnect { Verdict::Run } else { Verdict::Document };
        self.trouble = Trouble::Server;
        self
    }

    /// What happened, without the hint.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The failure with more words.
    pub(crate) fn with(mut self, more: &str) -> Self {
        self.what.push_str(more);
        self
    }

    /// The failure of a request that is not sent, or not again, because the run is ending.
    pub(crate) fn stopped() -> Self {
        Self::new("the run is ending", None, Verdict::Stopped)
    }

    /// The failure with secrets blotted out, which a server may have repeated.
    pub(crate) fn without(mut self, secrets: &Secrets) -> Self {
        self.what = secrets.blotted(&self.what);
        self
    }
}

/// What is at the bottom of an error: the layers above it say only that they failed too.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), root_cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_blotted_out() {
        let failure = Failure::new("wrong key sk-12345", None, Verdict::Run);
        assert_eq!(failure.without(&Secrets::new(["sk-12345"])).to_string(), "wrong key [key]");
    }
}
