//! All positives of every query.

use std::collections::HashMap;

use embtune_cli::Replayable;
use embtune_records::{Pair, ReadError};

use crate::corpus::{Corpus, hash};
use crate::pairs::records;

/// A document that answers a query, as a pair says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Positive {
    /// Where the document stands in the corpus, if it does.
    pub(crate) row: Option<usize>,
    /// The group that the pair names.
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

    /// Whether the document of this row is of the positive's group.
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

/// The positives of every query of the input, by the query's text: a query may stand in several pairs.
#[derive(Default)]
pub(crate) struct Known {
    positives: HashMap<u64, Vec<Positive>>,
}

impl Known {
    /// Reads all inputs once. What is wrong with a record is reported when it is read for the second time.
    ///
    /// # Errors
    /// An input that cannot be read.
    pub(crate) fn read(inputs: &[Replayable], corpus: &Corpus, max_record_bytes: usize) -> anyhow::Result<Self> {
        let mut known = Self::default();
        let mut records = records(inputs, max_record_bytes)?;
        while let Some(pairs) = records.next_usable(|_| Ok::<_, ReadError>(()))? {
            let answers = pairs.record.iter().filter(|pair| !pair.is_no_answer());
            answers.for_each(|pair| known.insert(pair, corpus));
        }
        Ok(known)
    }

    fn insert(&mut self, pair: &Pair, corpus: &Corpus) {
        let positives = self.positives.entry(hash(&pair.anchor)).or_default();
        let positive = Positive::new(pair, corpus);
        if !positives.contains(&positive) {
            positives.push(positive);
        }
    }

    /// The positives of a query.
    pub(crate) fn of(&self, anchor: &str) -> &[Positive] {
        self.positives.get(&hash(anchor)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The most positives that a query has.
    pub(crate) fn most(&self) -> usize {
        self.positives.values().map(Vec::len).max().unwrap_or(0)
    }
}
