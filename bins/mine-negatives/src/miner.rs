//! Mines the negatives of many pairs in one pass over the corpus.

use std::collections::HashMap;

use embtune_cli::Session;
use embtune_records::{Pair, shortest_decimal};
use embtune_search::Hit;
use embtune_text::Shingles;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::candidates::{Candidate, CandidateFilter, Filtered, QueryPositives};
use crate::corpus::Corpus;
use crate::counts::Counts;
use crate::exclusions::Exclusions;
use crate::hash::hash;
use crate::positives::Positives;
use crate::search::{IndexedPair, Search};

/// How many hits may be in memory at once: 64 MiB of them, even if a large group makes the search go deep.
const MAX_HITS: usize = 4 << 20;

/// Everything that mining needs besides the pairs.
pub(crate) struct Miner<'a> {
    pub(crate) search: Search<'a>,
    pub(crate) corpus: &'a Corpus<'a>,
    pub(crate) positives: Positives,
    pub(crate) exclusions: &'a Exclusions,
    pub(crate) filter: CandidateFilter,
    pub(crate) rng: ChaCha8Rng,
    /// Pairs whose positive has a higher rank are dropped.
    pub(crate) keep_rank: Option<usize>,
    pub(crate) counts: Counts,
    pub(crate) pool: ThreadPool,
    pub(crate) session: &'a Session,
}

/// The result of the search for a pair.
struct Found {
    filtered: Filtered,
    positive_score: f32,
    positive_rank: Option<usize>,
}

impl Miner<'_> {
    /// Gives each pair its negatives, and drops pairs by --keep-rank.
    pub(crate) fn mine(&mut self, mut pairs: Vec<IndexedPair>) -> anyhow::Result<Vec<Pair>> {
        pairs.iter_mut().try_for_each(|pair| self.name_group(pair))?;
        let mut found: Vec<Option<Found>> = pairs.iter().map(|_| None).collect();
        let texts = self.positive_texts(&pairs)?;
        // Enough for most pairs. If groups, excluded documents or equal texts use up the hits, the search is repeated
        // with twice as many. A few more hits at first cost less than a second pass.
        let mut depth = self.filter.depth().saturating_mul(2).max(self.keep_rank.unwrap_or(0));
        loop {
            self.session.interrupt().check()?;
            depth = depth.min(self.corpus.vectors.len());
            let open: Vec<usize> = (0..pairs.len()).filter(|index| found[*index].is_none()).collect();
            if open.is_empty() {
                break;
            }
            for part in open.chunks((MAX_HITS / depth.max(1)).max(1)) {
                let hits = self.search.top_k(part.iter().map(|index| pairs[*index].query), self.corpus, depth)?;
                let filter = |(index, hits): (&usize, &Vec<Hit>)| self.filter(&pairs[*index], hits, &texts);
                let filtered: Vec<_> =
                    self.pool.install(|| part.par_iter().zip(&hits).map(filter).collect::<anyhow::Result<_>>())?;
                for (index, filtered) in part.iter().zip(filtered) {
                    found[*index] = filtered;
                }
            }
            depth = depth.saturating_mul(2);
        }
        let mut found: Vec<Found> = found.into_iter().flatten().collect();
        self.rank(&pairs, &mut found)?;
        let mut mined = Vec::with_capacity(pairs.len());
        for (pair, found) in pairs.into_iter().zip(found) {
            mined.extend(self.finish(pair.pair, found)?);
        }
        Ok(mined)
    }

    /// Gives a pair without a group that of its document, because splits go by it.
    fn name_group(&self, IndexedPair { pair, positive, .. }: &mut IndexedPair) -> anyhow::Result<()> {
        let group = self.corpus.entry(*positive).group_hash;
        if pair.group.is_none() && pair.positive_id.as_deref().map(hash) != Some(group) {
            pair.group = Some(self.corpus.document(*positive)?.group_or_id().into_owned());
        }
        Ok(())
    }

    /// The texts of all positives of these pairs' queries, by the hash of the query.
    fn positive_texts(&self, pairs: &[IndexedPair]) -> anyhow::Result<HashMap<u64, Vec<Shingles>>> {
        let mut queries: Vec<(u64, &str)> =
            pairs.iter().map(|IndexedPair { pair, .. }| (hash(&pair.anchor), &*pair.anchor)).collect();
        queries.sort_unstable();
        queries.dedup_by_key(|(hash, _)| *hash);
        let texts = |(hash, anchor): &(u64, &str)| {
            let rows = self.positives.of(anchor).iter().filter_map(|positive| positive.row);
            let texts = rows.map(|row| Ok(Shingles::of(&self.corpus.document(row)?.full_text())));
            Ok((*hash, texts.collect::<anyhow::Result<Vec<_>>>()?))
        };
        let mut texts: HashMap<_, _> =
            self.pool.install(|| queries.par_iter().map(texts).collect::<anyhow::Result<_>>())?;
        for IndexedPair { pair, .. } in pairs {
            texts.entry(hash(&pair.anchor)).or_insert_with(Vec::new).push(Shingles::of(&pair.positive));
        }
        Ok(texts)
    }

    /// Filters the hits of a pair. `None` if more of them are needed.
    fn filter(
        &self,
        IndexedPair { pair, query, positive }: &IndexedPair,
        hits: &[Hit],
        texts: &HashMap<u64, Vec<Shingles>>,
    ) -> anyhow::Result<Option<Found>> {
        let documents = self.positives.of(&pair.anchor);
        let score = |row: usize| {
            let hit = hits.iter().find(|hit| hit.index == row);
            hit.map_or_else(|| self.search.score(*query, row, self.corpus), |hit| hit.score)
        };
        let positive_score = score(*positive);
        let lowest_score =
            documents.iter().filter_map(|positive| positive.row.map(score)).fold(positive_score, f32::min);
        let texts = texts.get(&hash(&pair.anchor)).map(Vec::as_slice).unwrap_or_default();
        let filtered = if self.exclusions.holds_out(pair) {
            Some(Filtered::default())
        } else {
            self.filter.filter(hits, &QueryPositives { documents, texts, lowest_score }, self.corpus)?
        };
        let positive_rank = hits.iter().position(|hit| hit.index == *positive).map(|index| index + 1);
        Ok(filtered.map(|filtered| Found { filtered, positive_score, positive_rank }))
    }

    /// Finds the ranks of positives that are below the hits, if they are needed.
    fn rank(&mut self, pairs: &[IndexedPair], found: &mut [Found]) -> anyhow::Result<()> {
        let below: Vec<usize> = (0..pairs.len()).filter(|index| found[*index].positive_rank.is_none()).collect();
        let pairs: Vec<&IndexedPair> = below.iter().map(|index| &pairs[*index]).collect();
        for (index, rank) in below.into_iter().zip(self.search.ranks(&pairs, self.corpus)?) {
            found[index].positive_rank = rank;
        }
        Ok(())
    }

    /// Takes the negatives of a pair. `None` if --keep-rank drops it. A held-out pair goes to the evaluation, so it
    /// gets no negatives and is never dropped.
    fn finish(&mut self, mut pair: Pair, found: Found) -> anyhow::Result<Option<Pair>> {
        let is_held_out = self.exclusions.holds_out(&pair);
        if !is_held_out && self.keep_rank.is_some_and(|max| found.positive_rank.is_none_or(|rank| rank > max)) {
            self.counts.below_rank += 1;
            let id = pair.anchor_id.as_deref().unwrap_or_default();
            let rank = found.positive_rank.map_or("below those searched".into(), |rank| rank.to_string());
            self.session.info(format!("pair of query \"{id}\" dropped: the rank of its positive is {rank}"));
            return Ok(None);
        }
        let Found { filtered: Filtered { kept, dropped }, positive_score, positive_rank } = found;
        let negatives = self.filter.sample(kept, &mut self.rng);
        self.counts.pairs += 1;
        self.counts.negatives += negatives.len() as u64;
        self.counts.held_out += u64::from(is_held_out);
        self.counts.short += u64::from(!is_held_out && negatives.len() < self.filter.num_negatives);
        dropped.iter().for_each(|(_, reason)| self.counts.drop(*reason));
        self.set_negatives(&mut pair, positive_score, &negatives)?;
        let dropped = dropped.iter().map(|(Candidate { row, rank, score }, reason)| {
            let (id, score) = (self.corpus.vectors.id(*row), shortest_decimal(*score));
            json!({"id": id, "rank": rank, "score": score, "reason": reason.name()})
        });
        for (field, value) in [
            ("positive_rank", Value::from(positive_rank)),
            ("negative_ranks", negatives.iter().map(|negative| Value::from(negative.rank)).collect()),
            ("dropped", dropped.collect()),
        ] {
            pair.rest.insert(field, value);
        }
        Ok(Some(pair))
    }

    /// Puts the negatives with their ids, groups and scores into a pair.
    ///
    /// # Errors
    /// Texts that cannot be read.
    fn set_negatives(&self, pair: &mut Pair, positive_score: f32, negatives: &[Candidate]) -> anyhow::Result<()> {
        let documents: Vec<_> =
            negatives.iter().map(|negative| self.corpus.document(negative.row)).collect::<anyhow::Result<_>>()?;
        pair.negatives = documents.iter().map(|document| document.full_text().into_owned()).collect();
        let ids: Vec<String> = documents.iter().map(|document| document.id().to_owned()).collect();
        let groups: Vec<String> = documents.iter().map(|document| document.group_or_id().into_owned()).collect();
        pair.negative_groups = (groups != ids).then_some(groups);
        pair.negative_ids = Some(ids);
        let scores = [positive_score].into_iter().chain(negatives.iter().map(|negative| negative.score));
        pair.scores = Some(scores.map(shortest_decimal).collect());
        Ok(())
    }
}
