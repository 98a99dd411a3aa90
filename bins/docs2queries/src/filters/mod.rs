//! Filters that keep bad queries out of the pairs.

mod copied;
mod duplicates;
mod language;
mod self_reference;

use std::collections::HashSet;

use embtune_text::{Language, text_hash};

use crate::documents::Passage;

use copied::is_copied;
use duplicates::Duplicates;
use language::is_in_other_language;
use self_reference::refers_to_document;

/// Why a query is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It has no letter and no digit.
    Empty,
    /// It is a query of the examples in the prompt.
    Example,
    /// The same query, or nearly the same, was kept before.
    Duplicate,
    /// It is a long phrase of the document.
    Copied,
    /// It mentions "this document", which a searcher does not have.
    Reference,
    /// It is not in the language that was asked for, or not in the document's.
    Language,
}

/// The reasons that apply in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    /// Parses `empty,copied`, or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let reason = |name: &str| Reason::ALL.into_iter().zip(NAMES).find(|(_, known)| *known == name.trim());
        let found = text.split(',').map(|name| reason(name).map(|(reason, _)| reason).ok_or(name));
        let found: Result<Vec<Reason>, &str> = found.collect();
        found.map(Self).map_err(|name| format!("unknown reason {name:?}: expected none or {}", NAMES.join(", ")))
    }
}

/// The names of the reasons on the command line.
const NAMES: [&str; Reason::ALL.len()] = ["empty", "example", "duplicate", "copied", "reference", "language"];

impl Reason {
    /// All reasons, in the order in which they are checked.
    const ALL: [Self; 6] = [Self::Empty, Self::Example, Self::Duplicate, Self::Copied, Self::Reference, Self::Language];

    /// The description of a dropped query in messages.
    pub(crate) fn description(self) -> &'static str {
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

/// The filters of a run, with the number of queries that each has dropped.
#[derive(Debug)]
pub(crate) struct Filters {
    active: Reasons,
    language: Option<Language>,
    /// The hashes of the examples' queries.
    examples: HashSet<u128>,
    duplicates: Duplicates,
    dropped: [u64; Reason::ALL.len()],
}

impl Filters {
    /// Filters for these reasons; `language` is the one that was asked for, and `examples` are the queries in the
    /// prompt.
    pub(crate) fn new<'a>(
        active: Reasons,
        language: Option<Language>,
        examples: impl Iterator<Item = &'a str>,
    ) -> Self {
        let examples = examples.map(text_hash).collect();
        Self { active, language, examples, duplicates: Duplicates::new(), dropped: [0; Reason::ALL.len()] }
    }

    /// Why a query about a passage is dropped. If there is no reason, it is kept, and later queries are compared with
    /// it.
    pub(crate) fn reason_to_drop(&mut self, query: &str, passage: &Passage) -> Option<Reason> {
        let full_text = passage.full_text();
        let reasons = Reason::ALL.into_iter().filter(|reason| self.active.0.contains(reason));
        let mut found = reasons.filter(|reason| *reason != Reason::Duplicate).find(|reason| match reason {
            Reason::Empty => !query.chars().any(char::is_alphanumeric),
            Reason::Example => self.examples.contains(&text_hash(query)),
            Reason::Copied => is_copied(query, &full_text),
            Reason::Reference => refers_to_document(query, &full_text),
            Reason::Language => is_in_other_language(query, self.language, &full_text),
            Reason::Duplicate => false,
        });
        // This is checked last, so that a query is never a duplicate of one that was dropped.
        if found.is_none()
            && self.active.0.contains(&Reason::Duplicate)
            && self.duplicates.check(query, &passage.document.id)
        {
            found = Some(Reason::Duplicate);
        }
        if let Some(reason) = found {
            self.dropped[reason as usize] += 1;
        }
        found
    }

    /// How many queries were dropped for each reason, if any were.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.dropped).filter(|(_, count)| *count > 0)
    }
}
