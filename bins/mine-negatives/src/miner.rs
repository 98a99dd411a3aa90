//! Mining many pairs in one pass over the corpus.

use embtune_cli::Session;
use embtune_records::{Pair, decimal};
use embtune_search::{Hit, Searcher, Similarity, gather};
use serde_json::Value;

use crate::choose::{Candidate, Candidates, Chooser};
use crate::corpus::Corpus;
use crate::counts::Counts;
use crate::known::{Known, Positive};
use crate::queries::{Queries, Rows};

/// Hits in memory at once: 64 MiB of them, also where a large group makes the search go deep.
const MAX_HITS: usize = 4 << 20;

/// A pair whose vectors are there.
pub(crate) struct Job {
    pub(crate) pair: Pair,
    pub(crate) rows: Rows,
}

/// All that mining needs besides the pairs.
pub(crate) struct Miner<'a> {
    pub(crate) queries: Queries<'a>,
    pub(crate) corpus: &'a Corpus<'a>,
    pub(crate) known: Known,
    pub(crate) searcher: Searcher,
    pub(crate) similarity: Similarity,
    pub(crate) chooser: Chooser,
    pub(crate) counts: Counts,
    pub(crate) session: &'a Session,
}

/// What the search found for a pair.
struct Found {
    candidates: Candidates,
    positive: f32,
    /// The lowest score of all positives of the query.
    lowest: f32,
    positive_rank: Option<usize>,
}

impl Miner<'_> {
    /// Gives each pair its negatives.
    pub(crate) fn mine(&mut self, jobs: Vec<Job>) -> anyhow::Result<Vec<Pair>> {
        let mut found: Vec<Option<Found>> = jobs.iter().map(|_| None).collect();
        // Enough for most; where groups or equal texts use up the hits, search again for twice as many.
        let mut depth = self.chooser.limits.range_max.saturating_add(self.known.most());
        loop {
            self.session.interrupt().check()?;
            depth = depth.min(self.corpus.vectors.len());
            let open: Vec<usize> = (0..jobs.len()).filter(|index| found[*index].is_none()).collect();
            if open.is_empty() {
                break;
            }
            for part in open.chunks((MAX_HITS / depth.max(1)).max(1)) {
                let vectors = gather(self.queries.vectors, part.iter().map(|index| jobs[*index].rows.query))?;
                let hits = self.searcher.top_k(&vectors, self.corpus.vectors, depth)?;
                for (index, hits) in part.iter().zip(hits) {
                    found[*index] = self.look(&jobs[*index], &hits);
                }
            }
            depth = depth.saturating_mul(2);
        }
        Ok(jobs.into_iter().zip(found.into_iter().flatten()).map(|(job, found)| self.finish(job.pair, found)).collect())
    }

    /// What these hits say, or nothing when more of them are needed.
    fn look(&self, job: &Job, hits: &[Hit]) -> Option<Found> {
        let positives = self.known.of(&job.pair.anchor);
        let most = self.chooser.limits.range_max;
        let candidates = Candidates::new(hits, positives, most, self.corpus);
        if candidates.list.len() < most && hits.len() < self.corpus.vectors.len() {
            return None;
        }
        let score = |row: usize| {
            let hit = hits.iter().find(|hit| hit.index == row);
            hit.map_or_else(|| self.score(job.rows.query, row), |hit| hit.score)
        };
        let positive = score(job.rows.positive);
        let others = positives.iter().filter_map(|Positive { row, .. }| row.map(score));
        Some(Found {
            candidates,
            positive,
            lowest: others.fold(positive, f32::min),
            positive_rank: hits.iter().position(|hit| hit.index == job.rows.positive).map(|index| index + 1),
        })
    }

    /// The score of one document that is not among the hits.
    fn score(&self, query: usize, document: usize) -> f32 {
        let a = self.queries.vectors.rows_f32(query..query + 1);
        let b = self.corpus.vectors.rows_f32(document..document + 1);
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        match self.similarity {
            Similarity::Dot => product(&a, &b),
            Similarity::Cosine => {
                let lengths = product(&a, &a).sqrt() * product(&b, &b).sqrt();
                if lengths == 0.0 { 0.0 } else { product(&a, &b) / lengths }
            }
        }
    }

    fn finish(&mut self, mut pair: Pair, found: Found) -> Pair {
        let chosen = self.chooser.choose(found.candidates, found.lowest, &mut self.counts);
        self.counts.pairs += 1;
        let id = |candidate: &Candidate| self.corpus.vectors.id(candidate.row).to_owned();
        let scores = [found.positive].into_iter().chain(chosen.iter().map(|candidate| candidate.score));
        pair.negatives = chosen.iter().map(|candidate| self.corpus.entry(candidate.row).text.clone()).collect();
        pair.negative_ids = Some(chosen.iter().map(id).collect());
        pair.scores = Some(scores.map(decimal).collect());
        pair.rest.insert("positive_rank".into(), found.positive_rank.into());
        let ranks = chosen.iter().map(|candidate| Value::from(candidate.rank)).collect();
        pair.rest.insert("negative_ranks".into(), ranks);
        pair
    }
}
