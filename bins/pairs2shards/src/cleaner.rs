//! Which pairs are dropped, and why.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::path::PathBuf;

use embtune_cli::{Input, Session};
use embtune_records::{Document, Location, RecordStream};
use embtune_text::NearDuplicates;

use crate::features::{Features, Fingerprint};
use crate::warnings::Contradictions;

/// Pairs that are remembered to find near-duplicates, about 300 bytes each.
const MOST_REMEMBERED: usize = 4_000_000;

/// Why a pair is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    Blank,
    Duplicate,
    NearDuplicate,
    EvaluationQuery,
    NearEvaluationQuery,
}

impl DropReason {
    pub(crate) const ALL: [Self; 5] =
        [Self::Blank, Self::Duplicate, Self::NearDuplicate, Self::EvaluationQuery, Self::NearEvaluationQuery];

    /// A description of the reason, to follow a number or a location.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Duplicate => "the same as an earlier pair",
            Self::NearDuplicate => "nearly the same as an earlier pair",
            Self::EvaluationQuery => "with a query of --exclude-queries",
            Self::NearEvaluationQuery => "with nearly a query of --exclude-queries",
        }
    }
}

/// Decides pair by pair which are dropped.
pub(crate) struct Cleaner {
    /// [`Features::texts`] of the pairs so far.
    texts: HashSet<u64>,
    /// [`Features::content`] of the pairs so far.
    contents: HashSet<u64>,
    /// The first score of each pair of texts, and where it was read.
    scores: HashMap<u64, (f32, Location)>,
    near: NearDuplicates,
    evaluation: EvaluationQueries,
    pub(crate) contradictions: Contradictions,
}

impl Cleaner {
    /// A cleaner that has seen no pairs yet.
    ///
    /// # Errors
    /// A file of queries that cannot be read, or a line of it that is no query.
    pub(crate) fn new(
        near_duplicate: f64,
        exclude_queries: &[PathBuf],
        max_record_bytes: usize,
        session: &Session,
    ) -> anyhow::Result<Self> {
        let excluded = exclude_queries.iter().map(|file| session.input(file)).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self {
            texts: HashSet::new(),
            contents: HashSet::new(),
            scores: HashMap::new(),
            near: NearDuplicates::new(near_duplicate, MOST_REMEMBERED),
            contradictions: Contradictions::default(),
            evaluation: EvaluationQueries::read(near_duplicate, excluded, max_record_bytes)?,
        })
    }

    /// Why this pair is dropped, if it is; if not, later pairs are compared with it.
    pub(crate) fn judge(&mut self, features: &Features, location: &Location) -> Option<DropReason> {
        if features.is_blank {
            return Some(DropReason::Blank);
        }
        let is_first = self.texts.insert(features.texts);
        let is_new = features.content.map_or(is_first, |content| self.contents.insert(content));
        if !is_new {
            return Some(DropReason::Duplicate);
        }
        if let Some(reason) = self.evaluation.judge(features) {
            return Some(reason);
        }
        // A pair with the same texts but other negatives or another score finds itself, and is kept.
        let near = features.signature.as_ref().and_then(|pair| self.near.insert_signature(features.texts, pair));
        if near.is_some_and(|near| near != features.texts) {
            return Some(DropReason::NearDuplicate);
        }
        self.compare_scores(features, location);
        None
    }

    /// Notes a pair whose texts an earlier pair has with another score.
    fn compare_scores(&mut self, features: &Features, location: &Location) {
        let Some(score) = features.score else { return };
        match self.scores.entry(features.texts) {
            Entry::Vacant(entry) => {
                entry.insert((score, location.clone()));
            }
            Entry::Occupied(entry) => {
                let (before, first) = entry.get();
                if *before != score {
                    self.contradictions.note(|| format!("{location} has {score}, {first} has {before}"));
                }
            }
        }
    }
}

/// The queries of evaluation sets.
struct EvaluationQueries {
    hashes: HashSet<u64>,
    near: NearDuplicates,
}

impl EvaluationQueries {
    fn read(near_duplicate: f64, inputs: Vec<Input>, max_record_bytes: usize) -> anyhow::Result<Self> {
        let mut queries = Self { hashes: HashSet::new(), near: NearDuplicates::new(near_duplicate, usize::MAX) };
        let inputs = inputs.into_iter().map(Input::into_named);
        for query in RecordStream::<Document, _>::new(inputs, max_record_bytes) {
            let fingerprint = Fingerprint::of(&query?.record.full_text());
            queries.hashes.insert(fingerprint.hash);
            fingerprint.signature.and_then(|signature| queries.near.insert_signature(0, &signature));
        }
        Ok(queries)
    }

    fn judge(&self, features: &Features) -> Option<DropReason> {
        if self.hashes.contains(&features.anchor.hash) {
            return Some(DropReason::EvaluationQuery);
        }
        let near = features.anchor.signature.as_ref().and_then(|anchor| self.near.find(anchor));
        near.map(|_| DropReason::NearEvaluationQuery)
    }
}
