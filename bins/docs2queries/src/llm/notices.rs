//! Messages for the user while requests are in flight.

use embtune_cli::Session;
use tokio::sync::mpsc;

/// A message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of interest with -v only.
    Detail,
    /// A long wait.
    Wait,
    /// A long wait that the server asked for when it refused a request.
    Overload,
    /// Something is not done as the user asked.
    Warning,
}

impl Notice {
    /// A detail, shown with -v.
    pub(crate) fn detail(text: impl Into<String>) -> Self {
        Self { kind: Kind::Detail, text: text.into() }
    }

    /// A wait that must not be mistaken for a hang.
    pub(crate) fn wait(text: impl Into<String>) -> Self {
        Self { kind: Kind::Wait, text: text.into() }
    }

    /// A wait that an overloaded server asked for. A rate limiter reports it once for all requests.
    pub(crate) fn overload(text: impl Into<String>) -> Self {
        Self { kind: Kind::Overload, text: text.into() }
    }

    /// Makes an overload a detail, because the rate limiter reports it once for all requests.
    #[must_use]
    pub(crate) fn beside_a_rate_limiter(self) -> Self {
        Self { kind: if self.kind == Kind::Overload { Kind::Detail } else { self.kind }, ..self }
    }

    /// Something that the user should look at.
    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { kind: Kind::Warning, text: text.into() }
    }

    /// Puts the name of the subject before the text.
    #[must_use]
    pub(crate) fn about(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }

    /// Shows the notice.
    pub(crate) fn show(&self, session: &Session) {
        match self.kind {
            Kind::Detail => session.info(&self.text),
            Kind::Wait | Kind::Overload => session.notice(&self.text),
            Kind::Warning => session.warn(&self.text),
        }
    }
}

/// The receiving end of [`Notices`].
pub(crate) type NoticeReceiver = mpsc::UnboundedReceiver<Notice>;

/// Where notices are sent, to be shown by the thread that owns the terminal.
#[derive(Debug, Clone)]
pub(crate) struct Notices(mpsc::UnboundedSender<Notice>);

impl Notices {
    /// A channel for notices.
    pub(crate) fn channel() -> (Self, NoticeReceiver) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Sends a notice, which is lost if the run has failed and the receiver is gone.
    pub(crate) fn send(&self, notice: Notice) {
        let _ = self.0.send(notice);
    }
}
