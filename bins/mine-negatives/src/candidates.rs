//! From the hits of a query to its negatives.

use clap::ValueEnum;
use embtune_search::Hit;
use embtune_text::Shingles;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::corpus::Corpus;
use crate::drop_reason::DropReason;
use crate::limits::Limits;
use crate::positives::Positive;

/// Which of the remaining candidates are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampling {
    /// The best
    Top,
    /// Any, each with the same chance
    Random,
}

/// A document that may become a negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) row: usize,
    /// Among all documents, from 1.
    pub(crate) rank: usize,
    pub(crate) score: f32,
}

/// The documents that were considered for a query, best first.
#[derive(Debug, Default)]
pub(crate) struct Filtered {
    /// Those that may be taken.
    pub(crate) kept: Vec<Candidate>,
    pub(crate) dropped: Vec<(Candidate, DropReason)>,
}

/// The known positives of a query, against which its hits are filtered.
pub(crate) struct QueryPositives<'a> {
    pub(crate) documents: &'a [Positive],
    pub(crate) texts: &'a [Shingles],
    /// The lowest of their scores.
    pub(crate) lowest_score: f32,
}

/// The rules by which documents are dropped.
pub(crate) struct CandidateFilter {
    pub(crate) limits: Limits,
    pub(crate) num_negatives: usize,
    pub(crate) sampling: Sampling,
    /// The largest number of positives that a query of the input has.
    pub(crate) max_positives: usize,
    /// The Jaccard similarity to a positive from which on a document is a near-duplicate.
    pub(crate) near_duplicate: f64,
}

impl CandidateFilter {
    /// How many hits sentence-transformers searches for. They are enough unless our own rules drop some.
    pub(crate) fn depth(&self) -> usize {
        self.limits.range_max(self.max_positives).saturating_add(self.max_positives)
    }

    /// Filters the hits of a query. `None` if more hits are needed.
    ///
    /// # Errors
    /// Texts that cannot be read.
    pub(crate) fn filter(
        &self,
        hits: &[Hit],
        positives: &QueryPositives<'_>,
        corpus: &Corpus,
    ) -> anyhow::Result<Option<Filtered>> {
        let range_max = self.limits.range_max(self.max_positives);
        let enough = match self.sampling {
            Sampling::Top => self.limits.range_min().saturating_add(self.num_negatives).min(range_max),
            Sampling::Random => range_max,
        };
        let mut filtered = Filtered::default();
        // Documents that sentence-transformers would consider, and the hashes of their texts.
        let mut texts = Vec::new();
        for (hit, rank) in hits.iter().zip(1..) {
            if texts.len() == self.depth() || filtered.kept.len() == enough {
                break;
            }
            let candidate = Candidate { row: hit.index, rank, score: hit.score };
            let reason = match self.check_identity(&candidate, positives, &texts, corpus) {
                None => self.check_score_and_text(&candidate, positives, corpus)?,
                reason => reason,
            };
            if reason.is_none_or(DropReason::is_of_sentence_transformers) {
                texts.push(corpus.entry(hit.index).text_hash);
            }
            match reason {
                Some(reason) => filtered.dropped.push((candidate, reason)),
                None => filtered.kept.push(candidate),
            }
        }
        let is_done =
            texts.len() == self.depth() || filtered.kept.len() == enough || hits.len() == corpus.vectors.len();
        if !is_done {
            return Ok(None);
        }
        // As in sentence-transformers, the range counts candidates that passed the limits, not ranks.
        let skipped = filtered.kept.drain(..self.limits.range_min().min(filtered.kept.len()));
        filtered.dropped.extend(skipped.map(|candidate| (candidate, DropReason::RangeMin)));
        filtered.dropped.sort_by_key(|(candidate, _)| candidate.rank);
        Ok(Some(filtered))
    }

    /// Drops documents that cannot be negatives of the query whatever their score: its positives and what belongs to
    /// them, excluded documents, and texts that ranked higher already.
    fn check_identity(
        &self,
        candidate: &Candidate,
        positives: &QueryPositives<'_>,
        texts: &[u64],
        corpus: &Corpus,
    ) -> Option<DropReason> {
        let entry = corpus.entry(candidate.row);
        let any = |is: fn(&Positive, usize, &Corpus) -> bool| {
            positives.documents.iter().any(|positive| is(positive, candidate.row, corpus))
        };
        if any(|positive, row, _| positive.row == Some(row)) {
            Some(DropReason::Positive)
        } else if any(Positive::shares_group) {
            Some(DropReason::Group)
        } else if entry.excluded.is_some() {
            entry.excluded
        } else if any(Positive::shares_text) || texts.contains(&entry.text_hash) {
            Some(DropReason::SameText)
        } else {
            None
        }
    }

    /// Drops candidates by their scores, then near-duplicates, because reading a text takes longest.
    fn check_score_and_text(
        &self,
        candidate: &Candidate,
        positives: &QueryPositives<'_>,
        corpus: &Corpus,
    ) -> anyhow::Result<Option<DropReason>> {
        if let Some(reason) = self.limits.check(candidate.score, positives.lowest_score) {
            return Ok(Some(reason));
        }
        let text = Shingles::of(&corpus.document(candidate.row)?.full_text());
        let is_near_duplicate = positives.texts.iter().any(|positive| positive.jaccard(&text) >= self.near_duplicate);
        Ok(is_near_duplicate.then_some(DropReason::NearDuplicate))
    }

    /// Takes the negatives from the remaining candidates, hardest first.
    pub(crate) fn sample(&self, kept: Vec<Candidate>, rng: &mut ChaCha8Rng) -> Vec<Candidate> {
        let amount = self.num_negatives.min(kept.len());
        match self.sampling {
            Sampling::Top => kept.into_iter().take(amount).collect(),
            Sampling::Random => {
                let mut indices = index::sample(rng, kept.len(), amount).into_vec();
                indices.sort_unstable();
                indices.into_iter().map(|index| kept[index]).collect()
            }
        }
    }
}
