//! Mining many pairs in one pass over the corpus.

use std::collections::HashMap;

use embtune_cli::Session;
use embtune_records::Pair;
use embtune_search::Hit;
use embtune_text::Shingles;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::choice::choose::Chooser;
use crate::choice::look::{Looked, Query, Rules};
use crate::corpus::withheld::Withheld;
use crate::corpus::{Corpus, hash};
use crate::counts::Counts;
use crate::pairs::known::Known;
use crate::pairs::queries::Rows;
use crate::pairs::record::{self, Place};
use crate::search::Search;

/// Hits in memory at once: 64 MiB of them, also where a large group makes the search go deep.
const MAX_HITS: usize = 4 << 20;

/// A pair whose vectors are there.
pub(crate) struct Job {
    pub(crate) pair: Pair,
    pub(crate) rows: Rows,
}

/// All that mining needs besides the pairs.
pub(crate) struct Miner<'a> {
    pub(crate) search: Search<'a>,
    pub(crate) corpus: &'a Corpus<'a>,
    pub(crate) known: Known,
    pub(crate) withheld: &'a Withheld,
    pub(crate) rules: Rules,
    pub(crate) chooser: Chooser,
    /// Pairs whose positive is not among so many best are dropped.
    pub(crate) keep_rank: Option<usize>,
    pub(crate) counts: Counts,
    pub(crate) pool: ThreadPool,
    pub(crate) session: &'a Session,
}

/// What the search found for a pair.
struct Found {
    looked: Looked,
    positive: f32,
    positive_rank: Option<usize>,
}

impl Miner<'_> {
    /// Gives each pair its negatives, and drops those that --keep-rank drops.
    pub(crate) fn mine(&mut self, mut jobs: Vec<Job>) -> anyhow::Result<Vec<Pair>> {
        jobs.iter_mut().try_for_each(|job| self.name_group(job))?;
        let mut found: Vec<Option<Found>> = jobs.iter().map(|_| None).collect();
        let texts = self.positives(&jobs)?;
        // Enough for most; where groups, held-out documents or equal texts use up the hits, search again for twice as
        // many. A few more hits cost less than a second pass.
        let mut depth = self.rules.depth().saturating_mul(2).max(self.keep_rank.unwrap_or(0));
        loop {
            self.session.interrupt().check()?;
            depth = depth.min(self.corpus.vectors.len());
            let open: Vec<usize> = (0..jobs.len()).filter(|index| found[*index].is_none()).collect();
            if open.is_empty() {
                break;
            }
            for part in open.chunks((MAX_HITS / depth.max(1)).max(1)) {
                let queries = part.iter().map(|index| jobs[*index].rows.query);
                let hits = self.search.top_k(queries, self.corpus, depth)?;
                let look = |(index, hits): (&usize, &Vec<Hit>)| self.look(&jobs[*index], hits, &texts);
                let looked: Vec<_> =
                    self.pool.install(|| part.par_iter().zip(&hits).map(look).collect::<anyhow::Result<_>>())?;
                for (index, looked) in part.iter().zip(looked) {
                    found[*index] = looked;
                }
            }
            depth = depth.saturating_mul(2);
        }
        let mut found: Vec<Found> = found.into_iter().flatten().collect();
        self.rank(&jobs, &mut found)?;
        let mut mined = Vec::with_capacity(jobs.len());
        for (job, found) in jobs.into_iter().zip(found) {
            mined.extend(self.finish(job, found)?);
        }
        Ok(mined)
    }

    /// Gives a pair that names no group that of its document: splits go by it.
    fn name_group(&self, Job { pair, rows }: &mut Job) -> anyhow::Result<()> {
        let group = self.corpus.entry(rows.positive).group_hash;
        if pair.group.is_none() && pair.positive_id.as_deref().map(hash) != Some(group) {
            pair.group = Some(self.corpus.document(rows.positive)?.group_or_id().into_owned());
        }
        Ok(())
    }

    /// The texts of all positives of these pairs' queries, by the query.
    fn positives(&self, jobs: &[Job]) -> anyhow::Result<HashMap<u64, Vec<Shingles>>> {
        let mut queries: Vec<(u64, &str)> =
            jobs.iter().map(|job| (hash(&job.pair.anchor), &*job.pair.anchor)).collect();
        queries.sort_unstable();
        queries.dedup_by_key(|(hash, _)| *hash);
        let texts = |(hash, anchor): &(u64, &str)| {
            let rows = self.known.of(anchor).iter().filter_map(|positive| positive.row);
            let texts = rows.map(|row| Ok(Shingles::of(&self.corpus.document(row)?.full_text())));
            Ok((*hash, texts.collect::<anyhow::Result<Vec<_>>>()?))
        };
        let mut texts: HashMap<_, _> =
            self.pool.install(|| queries.par_iter().map(texts).collect::<anyhow::Result<_>>())?;
        for Job { pair, .. } in jobs {
            texts.entry(hash(&pair.anchor)).or_insert_with(Vec::new).push(Shingles::of(&pair.positive));
        }
        Ok(texts)
    }

    /// What these hits say, or nothing when more of them are needed.
    fn look(&self, job: &Job, hits: &[Hit], texts: &HashMap<u64, Vec<Shingles>>) -> anyhow::Result<Option<Found>> {
        let positives = self.known.of(&job.pair.anchor);
        let score = |row: usize| {
            let hit = hits.iter().find(|hit| hit.index == row);
            hit.map_or_else(|| self.search.score(job.rows.query, row, self.corpus), |hit| hit.score)
        };
        let positive = score(job.rows.positive);
        let lowest = positives.iter().filter_map(|positive| positive.row.map(score)).fold(positive, f32::min);
        let texts = texts.get(&hash(&job.pair.anchor)).map(Vec::as_slice).unwrap_or_default();
        let looked = if self.is_held_out(&job.pair) {
            Some(Looked::default())
        } else {
            self.rules.look(hits, &Query { positives, texts, lowest }, self.corpus)?
        };
        let positive_rank = hits.iter().position(|hit| hit.index == job.rows.positive).map(|index| index + 1);
        Ok(looked.map(|looked| Found { looked, positive, positive_rank }))
    }

    /// A pair that is held out goes to the evaluation: it gets no negatives, and no rank decides over it.
    fn is_held_out(&self, pair: &Pair) -> bool {
        self.withheld.split.zip(pair.group_or_positive_id()).is_some_and(|(split, group)| split.holds_out(group))
    }

    /// Finds the ranks that are below the hits, where they are asked for.
    fn rank(&mut self, jobs: &[Job], found: &mut [Found]) -> anyhow::Result<()> {
        let below: Vec<usize> = (0..jobs.len()).filter(|index| found[*index].positive_rank.is_none()).collect();
        let pairs: Vec<_> = below.iter().map(|index| (jobs[*index].rows.query, jobs[*index].rows.positive)).collect();
        for (index, rank) in below.into_iter().zip(self.search.ranks(&pairs, self.corpus)?) {
            found[index].positive_rank = rank;
        }
        Ok(())
    }

    fn finish(&mut self, Job { mut pair, .. }: Job, found: Found) -> anyhow::Result<Option<Pair>> {
        let is_held_out = self.is_held_out(&pair);
        if !is_held_out && self.keep_rank.is_some_and(|most| found.positive_rank.is_none_or(|rank| rank > most)) {
            self.counts.below_rank += 1;
            let id = pair.anchor_id.as_deref().unwrap_or_default();
            let rank = found.positive_rank.map_or("none that is known".into(), |rank| rank.to_string());
            self.session.info(format!("pair of query \"{id}\" dropped: the rank of its positive is {rank}"));
            return Ok(None);
        }
        let chosen = self.chooser.choose(found.looked.left);
        self.counts.pairs += 1;
        self.counts.negatives += chosen.len() as u64;
        self.counts.held_out += u64::from(is_held_out);
        self.counts.short += u64::from(!is_held_out && chosen.len() < self.chooser.wanted);
        found.looked.dropped.iter().for_each(|(_, reason)| self.counts.drop(*reason));
        let positive = Place { score: found.positive, rank: found.positive_rank };
        record::fill(&mut pair, positive, &chosen, &found.looked.dropped, self.corpus)?;
        Ok(Some(pair))
    }
}
