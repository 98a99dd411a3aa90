//! From pairs to shards: cleaning, splitting, tokenising, writing.

use embtune_cli::{Session, Skipper};
use embtune_records::{Location, Pair};
use rayon::prelude::*;

use crate::cleaner::{Cleaner, DropReason};
use crate::counts::Counts;
use crate::features::Features;
use crate::guide::Guide;
use crate::holdout::Holdout;
use crate::input::merge::{PairBatch, Row};
use crate::prompts::Prompts;
use crate::shards::Shards;
use crate::tokenize::{PairTokenizer, TrainingPair};
use crate::warnings::IgnoredFields;

/// Turns batches of pairs into shards, and counts what happens to them.
pub(crate) struct Packer<'a> {
    pub(crate) tokenizer: PairTokenizer,
    pub(crate) prompts: Prompts,
    pub(crate) ignored: IgnoredFields,
    pub(crate) guide: Option<&'a Guide<'a>>,
    pub(crate) cleaner: Cleaner,
    pub(crate) holdout: Option<Holdout>,
    pub(crate) shards: Shards<'a>,
    pub(crate) pool: rayon::ThreadPool,
    pub(crate) counts: Counts,
    pub(crate) session: &'a Session,
}

impl Packer<'_> {
    /// Cleans, splits, tokenises and writes a batch of pairs.
    ///
    /// # Errors
    /// An input that cannot be read, a bad record that must not be skipped, a full disk.
    pub(crate) fn pack(&mut self, batch: PairBatch, skipper: &Skipper<'_>) -> anyhow::Result<()> {
        let (before, is_split) = (self.counts.read, self.holdout.is_some());
        let features: Vec<Features> = self.pool.install(|| {
            let features = |(index, row): (usize, &Row)| match row {
                Row::Pair(pair, _) => Features::of(pair, before + index as u64, is_split),
                Row::Merged(..) | Row::Duplicate(_) | Row::Bad(_) => Features::default(),
            };
            batch.rows.par_iter().enumerate().map(features).collect()
        });
        self.counts.faults.iter_mut().zip(batch.faults).for_each(|(all, faults)| *all += faults);
        self.cleaner.contradictions.add(batch.contradictions);
        let mut pairs = Vec::new();
        for (row, features) in batch.rows.into_iter().zip(features) {
            self.counts.read += u64::from(!matches!(row, Row::Bad(_)));
            match row {
                Row::Bad(error) if error.is_recoverable() => skipper.bad(error)?,
                Row::Bad(error) => return Err(error.into()),
                Row::Duplicate(location) => self.drop(DropReason::Duplicate, &location),
                Row::Merged(location, first) => {
                    self.counts.merged += 1;
                    self.session.info(format!("{location}: its negatives were added to the same pair at {first}"));
                }
                Row::Pair(pair, location) => match self.take(*pair, features, &location)? {
                    Ok(pair) => pairs.extend(pair),
                    Err(what) => skipper.bad(location.error(what))?,
                },
            }
        }
        self.holdout.as_mut().map_or(Ok(()), Holdout::flush)?;
        let tokens = self.tokenizer.tokenize(&pairs)?;
        self.shards.push(&pairs, &tokens)?;
        self.counts.written += pairs.len() as u64;
        Ok(())
    }

    /// The pair as it goes into a shard, unless it is dropped or held out; the inner error describes its fault.
    fn take(
        &mut self,
        pair: Pair,
        features: Features,
        location: &Location,
    ) -> anyhow::Result<Result<Option<TrainingPair>, String>> {
        match self.prompts.take(&pair) {
            Ok(None) => {}
            Ok(Some(prompt)) => {
                self.session.notice(format!("using the query prompt of the pairs: \"{prompt}\""));
                self.tokenizer.set_query_prompt(prompt)?;
                self.shards.set_query_prompt(prompt);
            }
            Err(what) => return Ok(Err(what)),
        }
        self.ignored.take(&pair);
        if let Some(reason) = self.cleaner.judge(&features, location) {
            self.drop(reason, location);
            return Ok(Ok(None));
        }
        let kept = match &mut self.holdout {
            Some(holdout) => holdout.take(pair, &features),
            None => Ok(Some((pair, 0))),
        };
        Ok(kept.and_then(|kept| {
            let Some((pair, leaked)) = kept else { return Ok(None) };
            self.counts.leaked += leaked;
            let guide = self.guide.map(|guide| guide.find(&pair)).transpose()?;
            Ok(Some(TrainingPair { pair, guide, languages: features.languages }))
        }))
    }

    fn drop(&mut self, reason: DropReason, location: &Location) {
        self.counts.drop(reason);
        self.session.info(format!("{location}: dropped: {}", reason.words()));
    }

    /// Writes the rest, and reports the counts and warnings.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        if let Some(holdout) = self.holdout {
            self.counts.held_out = holdout.finish(&self.pool, self.session)?;
            if self.counts.held_out.queries == 0 {
                self.session
                    .warn("the held-out set has no query, so nothing can be measured with it\nhint: raise --holdout");
            }
        }
        (self.counts.shards, self.counts.cut) = self.shards.finish()?;
        self.session.notice(self.counts.summary(self.tokenizer.max_lengths()));
        if self.counts.leaked > 0 {
            self.session.warn(
                "some negatives were held-out documents, and were removed\n\
                 hint: give mine-negatives the same --holdout and --seed, so that it chooses others",
            );
        }
        if self.prompts.overruled > 0 {
            let pairs = embtune_cli::counted(self.prompts.overruled, "pair has", "pairs have");
            self.session.warn(format!("{pairs} a different query prompt than --query-prompt, which takes precedence"));
        }
        let warnings = [self.cleaner.contradictions.warning(), self.ignored.warning()];
        warnings.into_iter().flatten().for_each(|warning| self.session.warn(warning));
        Ok(())
    }
}
