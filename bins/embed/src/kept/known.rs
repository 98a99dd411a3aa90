//! What need not be computed, and where what is computed is kept.

use embtune_records::Document;
use xxhash_rust::xxh3::Xxh3;

use crate::input::fields::Text;
use crate::kept::answer::Answer;
use crate::kept::cache::Cache;
use crate::kept::part::{Append, Replay};

/// Names of a record and of its text, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Of id and text, for `--resume`.
    record: u64,
    /// Of the text, for `--cache`.
    text: u128,
}

/// Where answers are looked up.
pub(crate) struct Known<'a> {
    pub(crate) replay: Option<Replay>,
    pub(crate) cache: Option<&'a Cache>,
}

impl Known<'_> {
    pub(crate) fn key(&self, record: &Document, text: &Text<'_>) -> Key {
        let mut hash = Xxh3::new();
        if self.replay.is_some() {
            hash.update(&(record.id().len() as u64).to_le_bytes());
            hash.update(record.id().as_bytes());
            text.hash(&mut hash);
        }
        Key { record: hash.digest(), text: self.cache.map_or(0, |cache| cache.key(text)) }
    }

    /// The answers that are known, for records in the order of the input.
    ///
    /// # Errors
    /// An input that is not the interrupted run's; a damaged cache.
    pub(crate) fn find(&mut self, keys: &[Key]) -> anyhow::Result<Vec<Option<Answer>>> {
        let mut answers = vec![None; keys.len()];
        if let Some(replay) = &mut self.replay {
            for (answer, key) in answers.iter_mut().zip(keys) {
                *answer = replay.next(key.record)?;
            }
        }
        if let Some(cache) = self.cache {
            let open = || (0..keys.len()).filter(|index| answers[*index].is_none());
            let missing: Vec<usize> = open().collect();
            for (index, found) in missing.iter().zip(cache.find(missing.iter().map(|index| keys[*index].text))?) {
                answers[*index] = found;
            }
        }
        Ok(answers)
    }

    /// The input has ended.
    ///
    /// # Errors
    /// When the interrupted run had more of it.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        self.replay.as_mut().map_or(Ok(()), Replay::finish)
    }
}

/// Where answers are kept.
pub(crate) struct Keeper<'a> {
    pub(crate) part: Option<Append>,
    pub(crate) cache: Option<&'a Cache>,
}

impl Keeper<'_> {
    /// Keeps a window's answers.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn keep(&mut self, answers: &[(Key, Answer)]) -> anyhow::Result<()> {
        if let Some(part) = &mut self.part {
            part.push(answers.iter().map(|(key, answer)| (key.record, answer)))?;
        }
        if let Some(cache) = self.cache {
            cache.keep(answers.iter().map(|(key, answer)| (key.text, answer)))?;
        }
        Ok(())
    }
}
