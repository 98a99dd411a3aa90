//! The positives of every query.

use std::collections::HashMap;

use embtune_cli::{Input, Replayable};
use embtune_records::{Pair, ReadError, RecordStream};

use crate::corpus::Corpus;
use crate::hash::hash;

/// A document that answers a query, according to a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positive {
    /// Its row in the corpus, if it is there.
    pub(crate) row: Option<usize>,
    /// Of the group that the pair names.
    group_hash: Option<u64>,
    text_hash: u64,
}

impl Positive {
    fn new(pair: &Pair, corpus: &Corpus) -> Self {
        Self {
            row: pair.positive_id.as_deref().and_then(|id| corpus.by_id.row(id)),
            group_hash: pair.group_or_positive_id().map(hash),
            text_hash: hash(&pair.positive),
        }
    }

    /// Whether the document of this row belongs to the positive's group.
    pub(crate) fn shares_group(&self, row: usize, corpus: &Corpus) -> bool {
        let group = Some(corpus.entry(row).group_hash);
        self.group_hash == group || self.row.map(|own| corpus.entry(own).group_hash) == group
    }

    /// Whether the document of this row has the positive's text.
    pub(crate) fn shares_text(&self, row: usize, corpus: &Corpus) -> bool {
        let entry = corpus.entry(row);
        [entry.text_hash, entry.body_hash].contains(&self.text_hash)
    }
}

/// The positives of every query, by the query's text, because a query may be in several pairs.
#[derive(Default)]
pub(crate) struct Positives {
    by_query: HashMap<u64, Vec<Positive>>,
}

impl Positives {
    /// Reads all inputs. Bad records are ignored here, because they are reported when the inputs are read again.
    ///
    /// # Errors
    /// An input that cannot be read.
    pub(crate) fn read(inputs: &[Replayable], corpus: &Corpus, max_record_bytes: usize) -> anyhow::Result<Self> {
        let mut positives = Self::default();
        let mut records = read_pairs(inputs, max_record_bytes)?;
        while let Some(pairs) = records.next_usable(|_| Ok::<_, ReadError>(()))? {
            let answers = pairs.record.iter().filter(|pair| !pair.is_no_answer());
            answers.for_each(|pair| positives.insert(pair, corpus));
        }
        Ok(positives)
    }

    fn insert(&mut self, pair: &Pair, corpus: &Corpus) {
        let positives = self.by_query.entry(hash(&pair.anchor)).or_default();
        let positive = Positive::new(pair, corpus);
        if !positives.contains(&positive) {
            positives.push(positive);
        }
    }

    /// The positives of a query.
    pub(crate) fn of(&self, anchor: &str) -> &[Positive] {
        self.by_query.get(&hash(anchor)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The largest number of positives that a query has.
    pub(crate) fn max_per_query(&self) -> usize {
        self.by_query.values().map(Vec::len).max().unwrap_or(0)
    }
}

/// The records of all inputs. A record may contain several pairs.
///
/// # Errors
/// A file that cannot be opened again.
pub(crate) fn read_pairs(
    inputs: &[Replayable],
    max_record_bytes: usize,
) -> anyhow::Result<RecordStream<Vec<Pair>, Input>> {
    let inputs = inputs.iter().map(Replayable::open).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(RecordStream::new(inputs.into_iter().map(Input::into_named), max_record_bytes))
}
