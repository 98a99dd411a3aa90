//! Queries that one system answers and another does not.

use crate::measure::Hits;

/// Queries, by index, whose first k documents hold a relevant one with only one of two systems.
#[derive(Debug, PartialEq)]
pub(crate) struct Moves {
    /// With this system, not with the first one.
    pub(crate) gained: Vec<usize>,
    /// With the first one, not with this system.
    pub(crate) lost: Vec<usize>,
}

impl Moves {
    pub(super) fn new(first: &[Option<Hits>], system: &[Option<Hits>], k: usize) -> Self {
        let found = |hits: &[Option<Hits>], query: usize| hits[query].as_ref().is_some_and(|hits| hits.found(k));
        let only = |a: &[Option<Hits>], b: &[Option<Hits>]| {
            (0..a.len()).filter(|query| found(a, *query) && !found(b, *query)).collect()
        };
        Self { gained: only(system, first), lost: only(first, system) }
    }
}
