//! From hits to negatives.

use embtune_search::Hit;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use crate::cli::Sampling;
use crate::corpus::Corpus;
use crate::counts::Counts;
use crate::known::Positive;
use crate::limits::Limits;

/// A document that may be a negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) row: usize,
    /// Among all documents, from 1.
    pub(crate) rank: usize,
    pub(crate) score: f32,
}

/// The hits that are no positives, nor have a text that was there already: the first `most` of them.
pub(crate) struct Candidates {
    pub(crate) list: Vec<Candidate>,
    same_document: u64,
    same_text: u64,
}

impl Candidates {
    pub(crate) fn new(hits: &[Hit], positives: &[Positive], most: usize, corpus: &Corpus) -> Self {
        let mut candidates = Self { list: Vec::new(), same_document: 0, same_text: 0 };
        for (hit, rank) in hits.iter().zip(1..) {
            if candidates.list.len() == most {
                break;
            }
            let text_hash = corpus.entry(hit.index).text_hash;
            let seen = |candidate: &Candidate| corpus.entry(candidate.row).text_hash == text_hash;
            if positives.iter().any(|positive| positive.shares_document(hit.index, corpus)) {
                candidates.same_document += 1;
            } else if positives.iter().any(|positive| positive.shares_text(hit.index, corpus))
                || candidates.list.iter().any(seen)
            {
                candidates.same_text += 1;
            } else {
                candidates.list.push(Candidate { row: hit.index, rank, score: hit.score });
            }
        }
        candidates
    }
}

/// How negatives are chosen from candidates.
pub(crate) struct Chooser {
    pub(crate) limits: Limits,
    pub(crate) wanted: usize,
    pub(crate) sampling: Sampling,
    pub(crate) rng: ChaCha8Rng,
}

impl Chooser {
    /// The negatives, the hardest first; `positive` is the lowest score of the query's positives.
    pub(crate) fn choose(&mut self, candidates: Candidates, positive: f32, counts: &mut Counts) -> Vec<Candidate> {
        counts.same_document += candidates.same_document;
        counts.same_text += candidates.same_text;
        let mut left = Vec::new();
        for candidate in candidates.list {
            match self.limits.refuse(candidate.score, positive) {
                Some(reason) => counts.drop(reason),
                None => left.push(candidate),
            }
        }
        // The range counts what the limits left, as sentence-transformers does, not raw ranks.
        left.drain(..self.limits.range_min.min(left.len()));
        let chosen = match self.sampling {
            Sampling::Top => left.into_iter().take(self.wanted).collect(),
            Sampling::Random => {
                let mut places = index::sample(&mut self.rng, left.len(), self.wanted.min(left.len())).into_vec();
                places.sort_unstable();
                places.into_iter().map(|place| left[place]).collect::<Vec<_>>()
            }
        };
        counts.negatives += chosen.len() as u64;
        counts.short += u64::from(chosen.len() < self.wanted);
        chosen
    }
}
