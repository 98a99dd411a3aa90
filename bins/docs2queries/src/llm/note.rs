//! What the user may want to hear while a run goes on.

use std::time::Duration;

use embtune_cli::Session;
use tokio::sync::mpsc;

/// A wait that is longer is said.
pub(super) const LONG: Duration = Duration::from_secs(5);

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    kind: Kind,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of interest with -v.
    Detail,
    /// A long wait.
    Wait,
    /// One that the server asked for when it refused a request.
    Refusal,
    /// Something is not done as it was asked for.
    Warning,
}

impl Note {
    /// A detail, for -v.
    pub(crate) fn detail(text: impl Into<String>) -> Self {
        Self { kind: Kind::Detail, text: text.into() }
    }

    /// A wait, which nobody shall take for a hang.
    pub(crate) fn wait(text: impl Into<String>) -> Self {
        Self { kind: Kind::Wait, text: text.into() }
    }

    /// A wait that a refusal asks for: where there is a pace, that tells of it for all who wait.
    pub(crate) fn refusal(text: impl Into<String>) -> Self {
        Self { kind: Kind::Refusal, text: text.into() }
    }

    /// The note where a pace tells of refusals.
    #[must_use]
    pub(crate) fn beside_a_pace(self) -> Self {
        Self { kind: if self.kind == Kind::Refusal { Kind::Detail } else { self.kind }, ..self }
    }

    /// Something that the user should look at.
    pub(crate) fn warning(text: impl Into<String>) -> Self {
        Self { kind: Kind::Warning, text: text.into() }
    }

    /// The note of one of many.
    #[must_use]
    pub(crate) fn of(self, what: &str) -> Self {
        Self { text: format!("{what}: {}", self.text), ..self }
    }

    /// Says it.
    pub(crate) fn tell(&self, session: &Session) {
        match self.kind {
            Kind::Detail => session.info(&self.text),
            Kind::Wait | Kind::Refusal => session.notice(&self.text),
            Kind::Warning => session.warn(&self.text),
        }
    }
}

/// Where notes go to be said.
#[derive(Debug, Clone)]
pub(crate) struct Notes(mpsc::UnboundedSender<Note>);

impl Notes {
    /// Notes, and where they come out.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (notes, said) = mpsc::unbounded_channel();
        (Self(notes), said)
    }

    /// Sends a note; nobody listens any more when the run has failed.
    pub(crate) fn send(&self, note: Note) {
        let _ = self.0.send(note);
    }
}
