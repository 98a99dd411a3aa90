//! Where and why relevant documents are missed.

mod findings;
mod moves;
mod terms;

use std::collections::HashSet;

use crate::input::Texts;
use crate::report::Report;

pub(crate) use findings::Findings;
pub(crate) use moves::Moves;
pub(crate) use terms::Term;

/// The share of the relevant documents that has to be retrieved lest what is built on the retrieval answers from too
/// little: the line under which fine-tuning is worth its while.
pub(crate) const CONTEXT_RECALL: f64 = 0.75;

/// Ranks that are looked at when the metric that decides has no cutoff.
const RANKS: usize = 10;

/// What the hits tell.
pub(crate) struct Diagnosis {
    /// Ranks that are looked at.
    pub(crate) k: usize,
    /// One for each system.
    pub(crate) findings: Vec<Findings>,
    /// One for each system but the first.
    pub(crate) moves: Vec<Moves>,
    /// Words of the queries with which the first system fails most; none without texts.
    pub(crate) terms: Vec<Term>,
}

impl Diagnosis {
    /// Looks at a report, with the texts of its queries and the words that are everywhere in the documents.
    pub(crate) fn new(report: &Report, texts: &Texts, common: &HashSet<String>) -> Self {
        let k = report.metrics[report.primary].k.map_or(RANKS, std::num::NonZeroUsize::get);
        let hits = |system: usize| &report.systems[system].evaluation.hits[..];
        Self {
            k,
            findings: (0..report.systems.len()).map(|system| Findings::new(&report.queries, hits(system), k)).collect(),
            moves: (1..report.systems.len()).map(|system| Moves::new(hits(0), hits(system), k)).collect(),
            terms: terms::worst(report, texts, common),
        }
    }
}
