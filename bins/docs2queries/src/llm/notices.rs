//! Messages for the user while requests are in flight.

use embtune_cli::Session;
use tokio::sync::mpsc;

/// A message for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(super) kind: NoticeKind,
    pub(super) text: String,
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoticeKind {
    /// Of interest with -v only.
    Detail,
    /// A long wait, which must not be mistaken for a hang.
    Wait,
    /// A long wait that the server asked for when it refused a request. A rate limiter reports it once for all
    /// requests.
    Overload,
    /// Something is not done as the user asked.
    Warning,
}

impl Notice {
    /// The notice where a rate limiter reports overloads: there, those of single requests are details.
    #[must_use]
    pub(crate) fn beside_a_rate_limiter(self) -> Self {
        Self { kind: if self.kind == NoticeKind::Overload { NoticeKind::Detail } else { self.kind }, ..self }
    }

    /// Puts the name of the subject before the text.
    #[must_use]
    pub(crate) fn about(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }

    /// Shows the notice.
    pub(crate) fn show(&self, session: &Session) {
        match self.kind {
            NoticeKind::Detail => session.info(&self.text),
            NoticeKind::Wait | NoticeKind::Overload => session.notice(&self.text),
            NoticeKind::Warning => session.warn(&self.text),
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
