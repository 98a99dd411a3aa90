//! From hits to candidates.

use embtune_search::Hit;
use embtune_text::Shingles;

use crate::choice::limits::Limits;
use crate::choice::reason::Reason;
use crate::cli::Sampling;
use crate::corpus::Corpus;
use crate::pairs::known::Positive;

/// A document that may be a negative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) row: usize,
    /// Among all documents, from 1.
    pub(crate) rank: usize,
    pub(crate) score: f32,
}

/// The documents that were looked at, the best first.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Those that may be taken.
    pub(crate) left: Vec<Candidate>,
    pub(crate) dropped: Vec<(Candidate, Reason)>,
}

/// What is known of a query before its hits are looked at.
pub(crate) struct Query<'a> {
    pub(crate) positives: &'a [Positive],
    /// Their texts.
    pub(crate) texts: &'a [Shingles],
    /// The lowest score of them.
    pub(crate) lowest: f32,
}

/// The rules by which documents are passed over.
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) wanted: usize,
    pub(crate) sampling: Sampling,
    /// The most positives that a query of the input has.
    pub(crate) most_positives: usize,
    pub(crate) near_duplicate: f64,
}

impl Rules {
    /// Hits that are enough when no group and no equal text uses them up: what sentence-transformers searches for.
    pub(crate) fn depth(&self) -> usize {
        self.limits.range_max(self.most_positives).saturating_add(self.most_positives)
    }

    /// Looks at a query's hits, or gives nothing when it takes more of them.
    ///
    /// # Errors
    /// Texts that cannot be read.
    pub(crate) fn look(&self, hits: &[Hit], query: &Query<'_>, corpus: &Corpus) -> anyhow::Result<Option<Looked>> {
        let range_max = self.limits.range_max(self.most_positives);
        let enough = match self.sampling {
            Sampling::Top => self.limits.range_min.saturating_add(self.wanted).min(range_max),
            Sampling::Random => range_max,
        };
        let mut looked = Looked::default();
        // Positives and candidates, which sentence-transformers looks at, and not what it does not know.
        let mut counted = 0;
        let mut texts = Vec::new();
        for (hit, rank) in hits.iter().zip(1..) {
            if counted == self.depth() || looked.left.len() == enough {
                break;
            }
            let candidate = Candidate { row: hit.index, rank, score: hit.score };
            let reason = match self.passes(&candidate, query, &texts, corpus) {
                None => self.refuses(&candidate, query, corpus)?,
                reason => reason,
            };
            if !reason.is_some_and(Reason::is_of_our_own) {
                counted += 1;
                texts.push(corpus.entry(hit.index).text_hash);
            }
            match reason {
                Some(reason) => looked.dropped.push((candidate, reason)),
                None => looked.left.push(candidate),
            }
        }
        let is_done = counted == self.depth() || looked.left.len() == enough || hits.len() == corpus.vectors.len();
        if !is_done {
            return Ok(None);
        }
        // The range counts what the limits left, as sentence-transformers does, not raw ranks.
        let skipped = looked.left.drain(..self.limits.range_min.min(looked.left.len()));
        looked.dropped.extend(skipped.map(|candidate| (candidate, Reason::RangeMin)));
        looked.dropped.sort_by_key(|(candidate, _)| candidate.rank);
        Ok(Some(looked))
    }

    /// Why a document is none that the query's negatives are looked for among.
    fn passes(&self, candidate: &Candidate, query: &Query<'_>, texts: &[u64], corpus: &Corpus) -> Option<Reason> {
        let entry = corpus.entry(candidate.row);
        let any = |is: fn(&Positive, usize, &Corpus) -> bool| {
            query.positives.iter().any(|positive| is(positive, candidate.row, corpus))
        };
        if any(|positive, row, _| positive.row == Some(row)) {
            Some(Reason::Positive)
        } else if any(Positive::shares_group) {
            Some(Reason::Group)
        } else if entry.withheld.is_some() {
            entry.withheld
        } else if any(Positive::shares_text) || texts.contains(&entry.text_hash) {
            Some(Reason::SameText)
        } else {
            None
        }
    }

    /// Why a candidate is dropped; its text is read last, because that takes longest.
    fn refuses(&self, candidate: &Candidate, query: &Query<'_>, corpus: &Corpus) -> anyhow::Result<Option<Reason>> {
        if let Some(reason) = self.limits.refuse(candidate.score, query.lowest) {
            return Ok(Some(reason));
        }
        let text = Shingles::of(&corpus.document(candidate.row)?.full_text());
        let is_near = query.texts.iter().any(|positive| positive.jaccard(&text) >= self.near_duplicate);
        Ok(is_near.then_some(Reason::NearDuplicate))
    }
}
