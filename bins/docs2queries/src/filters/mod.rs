//! What a model wrote that must not become a pair, and why.

mod copied;
mod duplicates;
mod foreign;
mod self_reference;

use std::collections::HashSet;

use embtune_text::{Language, text_hash};

use crate::documents::Passage;

use copied::is_copied;
use duplicates::Duplicates;
use foreign::is_foreign;
use self_reference::refers_to_itself;

/// Why a query is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No letter and no digit in it.
    Empty,
    /// A query of the examples that the prompt shows.
    Example,
    /// The same query, or nearly so, was kept before.
    Duplicate,
    /// A long phrase that stands in the document.
    Copied,
    /// It speaks of "this document", which no searcher has.
    Reference,
    /// Another language than the one that was asked for, or than the document's.
    Language,
}

/// The reasons that count in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    /// Reads `empty,copied`, or `none`.
    ///
    /// # Errors
    /// A name that is no reason's.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let reason = |name: &str| Reason::ALL.into_iter().zip(FLAGS).find(|(_, flag)| *flag == name.trim());
        let found = text.split(',').map(|name| reason(name).map(|(reason, _)| reason).ok_or(name));
        let found: Result<Vec<Reason>, &str> = found.collect();
        found.map(Self).map_err(|name| format!("unknown reason {name:?}: expected none or {}", FLAGS.join(", ")))
    }
}

/// What the reasons are called on the command line.
const FLAGS: [&str; Reason::ALL.len()] = ["empty", "example", "duplicate", "copied", "reference", "language"];

impl Reason {
    /// All of them, in the order in which they are looked for.
    pub(crate) const ALL: [Self; 6] =
        [Self::Empty, Self::Example, Self::Duplicate, Self::Copied, Self::Reference, Self::Language];

    /// What a query of this kind is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Example => "of an example",
            Self::Duplicate => "duplicate",
            Self::Copied => "copied from the document",
            Self::Reference => "about \"this document\"",
            Self::Language => "in another language",
        }
    }
}

/// The filters of a run, and how many queries each has dropped.
#[derive(Debug)]
pub(crate) struct Filters {
    active: Reasons,
    language: Option<Language>,
    /// Hashes of the examples' queries.
    examples: HashSet<u128>,
    duplicates: Duplicates,
    dropped: [u64; Reason::ALL.len()],
}

impl Filters {
    /// Filters for these reasons; `language` is the one that was asked for, if one was, and `examples` are the queries
    /// that the prompt shows.
    pub(crate) fn new<'a>(
        active: Reasons,
        language: Option<Language>,
        examples: impl Iterator<Item = &'a str>,
    ) -> Self {
        let examples = examples.map(text_hash).collect();
        Self { active, language, examples, duplicates: Duplicates::new(), dropped: [0; Reason::ALL.len()] }
    }

    /// Why a query about a passage is to be dropped, or none: it is kept, and later ones are compared with it.
    pub(crate) fn judge(&mut self, query: &str, passage: &Passage) -> Option<Reason> {
        let full_text = passage.full_text();
        let reasons = Reason::ALL.into_iter().filter(|reason| self.active.0.contains(reason));
        let mut found = reasons.filter(|reason| *reason != Reason::Duplicate).find(|reason| match reason {
            Reason::Empty => !query.chars().any(char::is_alphanumeric),
            Reason::Example => self.examples.contains(&text_hash(query)),
            Reason::Copied => is_copied(query, &full_text),
            Reason::Reference => refers_to_itself(query, &full_text),
            Reason::Language => is_foreign(query, self.language, &full_text),
            Reason::Duplicate => false,
        });
        // Last, because what is dropped for another reason is nobody's duplicate.
        if found.is_none()
            && self.active.0.contains(&Reason::Duplicate)
            && self.duplicates.has(query, &passage.document.id)
        {
            found = Some(Reason::Duplicate);
        }
        if let Some(reason) = found {
            self.dropped[reason as usize] += 1;
        }
        found
    }

    /// How many queries were dropped for each reason, without those that dropped none.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.dropped).filter(|(_, count)| *count > 0)
    }
}
