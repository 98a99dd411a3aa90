//! Why a document has no queries.

use std::collections::BTreeMap;

/// What stands between one document and its queries; others have theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// It is longer than the model's context.
    TooLong,
    /// The server takes other documents, and says of this one what is not understood here.
    Rejected,
    /// A server's moderation turned it away, or cut the reply off.
    Moderated,
    /// The model declined.
    Refused,
    /// The reply holds no text.
    Empty,
    /// The reply ended before the first query.
    CutOff,
    /// The reply holds no query.
    NoQuery,
    /// The server did not answer as it should, however often it was asked.
    Server,
}

impl Trouble {
    /// How the sum at the end calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too long for the model",
            Self::Rejected => "rejected by the server",
            Self::Moderated => "moderated",
            Self::Refused => "refused",
            Self::Empty => "empty reply",
            Self::CutOff => "reply cut off",
            Self::NoQuery => "no query in the reply",
            Self::Server => "no proper answer",
        }
    }

    /// What helps.
    pub(crate) fn hint(self) -> Option<&'static str> {
        match self {
            Self::TooLong => Some("a lower --passage-chars cuts documents into shorter passages"),
            Self::CutOff => Some("raise --max-completion-tokens"),
            _ => None,
        }
    }
}

/// How many passages had which trouble.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<Trouble, u64>);

impl Troubles {
    pub(crate) fn add(&mut self, trouble: Trouble) {
        *self.0.entry(trouble).or_default() += 1;
    }

    /// The counts in words; none when there was no trouble.
    pub(crate) fn said(&self) -> Option<String> {
        let counts: Vec<String> = self.0.iter().map(|(trouble, count)| format!("{count} {}", trouble.name())).collect();
        (!counts.is_empty()).then(|| counts.join(", "))
    }
}
