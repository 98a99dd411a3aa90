//! Where and why relevant documents are missed.

mod system;
mod terms;

use std::collections::HashSet;
use std::num::NonZeroUsize;

use crate::measure::QueryHits;
use crate::results::Results;
use crate::texts::Texts;

pub(crate) use system::{MARGIN_QUANTILES, SystemDiagnosis};
pub(crate) use terms::Term;

/// The share of the relevant documents that has to be retrieved so that an application that uses them has enough to
/// work with. Below it, fine-tuning is worthwhile.
pub(crate) const CONTEXT_RECALL: f64 = 0.75;

/// How many ranks are looked at if the primary metric has no cutoff.
const DEFAULT_K: usize = 10;

/// Where and why relevant documents are missed.
pub(crate) struct Diagnosis {
    /// How many ranks are looked at.
    pub(crate) k: usize,
    /// One for each system.
    pub(crate) systems: Vec<SystemDiagnosis>,
    /// One for each system but the first.
    pub(crate) changes: Vec<QueryChanges>,
    /// The words of the queries on which the first system does worst; without texts there are none.
    pub(crate) terms: Vec<Term>,
}

impl Diagnosis {
    /// Diagnoses the results, given the texts of the queries and the words that are common in the documents.
    pub(crate) fn new(results: &Results, texts: &Texts, common: &HashSet<String>) -> Self {
        let k = results.metrics[results.primary].k.map_or(DEFAULT_K, NonZeroUsize::get);
        let hits: Vec<&[Option<QueryHits>]> = results.systems.iter().map(|system| &*system.evaluation.hits).collect();
        Self {
            k,
            systems: hits.iter().map(|hits| SystemDiagnosis::new(&results.queries, hits, k)).collect(),
            changes: hits.iter().skip(1).map(|system| QueryChanges::new(hits[0], system, k)).collect(),
            terms: terms::worst(results, texts, common),
        }
    }
}

/// Queries, by index, that have a relevant document among the first k with only one of two systems.
#[derive(Debug, PartialEq)]
pub(crate) struct QueryChanges {
    /// With this system but not with the first one.
    pub(crate) gained: Vec<usize>,
    /// With the first system but not with this one.
    pub(crate) lost: Vec<usize>,
}

impl QueryChanges {
    fn new(first: &[Option<QueryHits>], system: &[Option<QueryHits>], k: usize) -> Self {
        let found = |hits: &[Option<QueryHits>], query: usize| hits[query].as_ref().is_some_and(|hits| hits.found(k));
        let only = |a: &[Option<QueryHits>], b: &[Option<QueryHits>]| {
            (0..a.len()).filter(|query| found(a, *query) && !found(b, *query)).collect()
        };
        Self { gained: only(system, first), lost: only(first, system) }
    }
}
