//! Which pairs are dropped, and why.

use std::collections::HashSet;
use std::path::PathBuf;

use embtune_cli::Session;
use embtune_records::{Document, Pair, Records};
use embtune_text::{Language, NearDuplicates, Signature, language};
use xxhash_rust::xxh3::xxh3_64;

use crate::print::Print;

/// Pairs that are remembered to find near-duplicates, about 300 bytes each.
const MOST_REMEMBERED: usize = 4_000_000;

/// Telling a language takes as long as tokenising: of the first pairs of the input, and of every so manieth.
const SAMPLED_FIRST: u64 = 1024;
const SAMPLED_STEP: u64 = 32;
const LANGUAGE_BYTES: usize = 300;

/// Why a pair is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Blank,
    Double,
    NearDouble,
    Evaluation,
    NearEvaluation,
}

impl Reason {
    pub(crate) const ALL: [Self; 5] =
        [Self::Blank, Self::Double, Self::NearDouble, Self::Evaluation, Self::NearEvaluation];

    /// How the notice calls it, behind a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Double => "the same as an earlier pair",
            Self::NearDouble => "nearly the same as an earlier pair",
            Self::Evaluation => "with a query of --exclude-queries",
            Self::NearEvaluation => "with nearly a query of --exclude-queries",
        }
    }
}

/// What is needed of a pair besides its tokens, from its texts alone.
#[derive(Default)]
pub(crate) struct Features {
    is_blank: bool,
    hash: u64,
    pub(crate) anchor: Print,
    pub(crate) positive: Print,
    /// Of the negatives the hashes alone, and those only for a split.
    pub(crate) negatives: Vec<Print>,
    pair: Option<Signature>,
    /// Of anchor and positive, where this pair is of the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
}

impl Features {
    /// The features of a pair, which is the `number`th of the input.
    pub(crate) fn of(pair: &Pair, number: u64, is_split: bool) -> Self {
        let is_of_sample = number < SAMPLED_FIRST || number.is_multiple_of(SAMPLED_STEP);
        let [anchor, positive] = [&pair.anchor, &pair.positive].map(|text| Print::of(text));
        let negatives = pair.negatives.iter().filter(|_| is_split);
        Self {
            is_blank: pair.anchor.trim().is_empty() || pair.positive.trim().is_empty(),
            hash: xxh3_64(format!("{}\0{}", pair.anchor, pair.positive).as_bytes()),
            negatives: negatives.map(|text| Print::hash_of(text)).collect(),
            pair: anchor.signature.zip(positive.signature).map(|(anchor, positive)| anchor.joined(&positive)),
            anchor,
            positive,
            languages: is_of_sample.then(|| [&pair.anchor, &pair.positive].map(|text| language(head(text)))),
        }
    }
}

/// The beginning of a text, by which its language is told.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LANGUAGE_BYTES)]
}

/// Judges pair by pair.
pub(crate) struct Cleaner {
    hashes: HashSet<u64>,
    pairs: NearDuplicates,
    evaluation: Evaluation,
}

impl Cleaner {
    /// Drops what is near by `similarity`, and the queries of these files.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is no query.
    pub(crate) fn new(
        similarity: f64,
        evaluation: &[PathBuf],
        max_record_bytes: usize,
        session: &Session,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            hashes: HashSet::new(),
            pairs: NearDuplicates::new(similarity, MOST_REMEMBERED),
            evaluation: Evaluation::read(similarity, evaluation, max_record_bytes, session)?,
        })
    }

    /// Why this pair is dropped, if it is; if not, later ones are compared with it.
    pub(crate) fn judge(&mut self, features: &Features) -> Option<Reason> {
        if features.is_blank {
            Some(Reason::Blank)
        } else if !self.hashes.insert(features.hash) {
            Some(Reason::Double)
        } else if let Some(reason) = self.evaluation.judge(features) {
            Some(reason)
        } else {
            let near = features.pair.as_ref().and_then(|pair| self.pairs.insert_signature(0, pair));
            near.map(|_| Reason::NearDouble)
        }
    }
}

/// The queries of evaluation sets.
struct Evaluation {
    hashes: HashSet<u64>,
    near: NearDuplicates,
}

impl Evaluation {
    fn read(similarity: f64, files: &[PathBuf], max_record_bytes: usize, session: &Session) -> anyhow::Result<Self> {
        let mut queries = Self { hashes: HashSet::new(), near: NearDuplicates::new(similarity, usize::MAX) };
        for file in files {
            let input = session.input(file)?;
            for query in Records::<Document, _>::new(input.name.clone(), input, max_record_bytes) {
                let text = query?.full_text().into_owned();
                let print = Print::of(&text);
                queries.hashes.insert(print.hash);
                print.signature.and_then(|signature| queries.near.insert_signature(0, &signature));
            }
        }
        Ok(queries)
    }

    fn judge(&self, features: &Features) -> Option<Reason> {
        if self.hashes.contains(&features.anchor.hash) {
            Some(Reason::Evaluation)
        } else {
            features.anchor.signature.as_ref().and_then(|anchor| self.near.find(anchor)).map(|_| Reason::NearEvaluation)
        }
    }
}
