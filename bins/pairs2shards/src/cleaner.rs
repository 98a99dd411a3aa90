//! Which pairs are dropped, and why.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::path::PathBuf;

use embtune_cli::Session;
use embtune_records::{Document, Location, Pair, Records};
use embtune_text::{Language, MinHash, NearDuplicates, detect_language, is_blank};
use xxhash_rust::xxh3::xxh3_64;

use crate::contradictions::Contradictions;
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
    /// Of anchor and positive.
    hash: u64,
    /// Of these and of what else there is to learn: the negatives and the positive's score. None without either.
    content: Option<u64>,
    score: Option<f32>,
    pub(crate) anchor: Print,
    pub(crate) positive: Print,
    /// Of the negatives the hashes alone, and those only for a split.
    pub(crate) negatives: Vec<Print>,
    pair: Option<MinHash>,
    /// Of anchor and positive, where this pair is of the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
}

impl Features {
    /// The features of a pair, which is the `number`th of the input.
    pub(crate) fn of(pair: &Pair, number: u64, is_split: bool) -> Self {
        let is_of_sample = number < SAMPLED_FIRST || number.is_multiple_of(SAMPLED_STEP);
        let [anchor, positive] = [&pair.anchor, &pair.positive].map(|text| Print::of(text));
        let negatives = pair.negatives.iter().filter(|_| is_split);
        let hash = xxh3_64(format!("{}\0{}", pair.anchor, pair.positive).as_bytes());
        let score = pair.scores.as_ref().and_then(|scores| scores.first()).map(|score| *score as f32);
        Self {
            is_blank: is_blank(&pair.anchor) || is_blank(&pair.positive),
            hash,
            content: content(hash, pair),
            score,
            negatives: negatives.map(|text| Print::hash_of(text)).collect(),
            pair: anchor.signature.zip(positive.signature).map(|(anchor, positive)| {
                let texts = anchor.joined(&positive);
                document(pair, score).map_or(texts, |document| texts.joined(&document))
            }),
            anchor,
            positive,
            languages: is_of_sample.then(|| [&pair.anchor, &pair.positive].map(|text| detect_language(head(text)))),
        }
    }
}

/// What there is to learn of a pair besides that its positive is an answer.
fn content(texts: u64, pair: &Pair) -> Option<u64> {
    let score = |document: usize| pair.scores.as_ref().map_or(u64::MAX, |scores| scores[document].to_bits());
    let hash = |numbers: [u64; 2]| xxh3_64(&numbers.map(u64::to_le_bytes).concat());
    // The order of negatives does not matter.
    let negatives =
        (1..).zip(&pair.negatives).map(|(document, text)| hash([xxh3_64(text.as_bytes()), score(document)]));
    let negatives = negatives.fold(0, u64::wrapping_add);
    (pair.scores.is_some() || !pair.negatives.is_empty()).then(|| hash([hash([texts, score(0)]), negatives]))
}

/// What pairs that are near-duplicates have in common besides their texts: templated texts, such as those of products,
/// are alike, and so are sentences with another label.
fn document(pair: &Pair, score: Option<f32>) -> Option<MinHash> {
    let id = pair.positive_id.as_deref().or(pair.group.as_deref());
    let label = score.filter(|_| pair.negatives.is_empty());
    (id.is_some() || label.is_some()).then(|| {
        let label = label.map_or(u64::MAX, |label| u64::from(label.to_bits())).to_le_bytes();
        MinHash::of_bytes(&[&label, id.unwrap_or_default().as_bytes()].concat())
    })
}

/// The beginning of a text, by which its language is told.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LANGUAGE_BYTES)]
}

/// Judges pair by pair.
pub(crate) struct Cleaner {
    /// Hashes of the pairs' texts.
    texts: HashSet<u64>,
    /// Hashes of what they hold besides.
    contents: HashSet<u64>,
    /// The first score that the texts of a pair had, and where.
    scores: HashMap<u64, (f32, Location)>,
    near: NearDuplicates,
    evaluation: Evaluation,
    pub(crate) contradictions: Contradictions,
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
            texts: HashSet::new(),
            contents: HashSet::new(),
            scores: HashMap::new(),
            near: NearDuplicates::new(similarity, MOST_REMEMBERED),
            contradictions: Contradictions::default(),
            evaluation: Evaluation::read(similarity, evaluation, max_record_bytes, session)?,
        })
    }

    /// Why this pair is dropped, if it is; if not, later ones are compared with it.
    pub(crate) fn judge(&mut self, features: &Features, place: &Location) -> Option<Reason> {
        if features.is_blank {
            return Some(Reason::Blank);
        }
        let is_first = self.texts.insert(features.hash);
        let is_new = features.content.map_or(is_first, |content| self.contents.insert(content));
        if !is_new {
            return Some(Reason::Double);
        }
        if let Some(reason) = self.evaluation.judge(features) {
            return Some(reason);
        }
        // The same texts with other negatives or another score find themselves.
        let near = features.pair.as_ref().and_then(|pair| self.near.insert_signature(features.hash, pair));
        if near.is_some_and(|near| near != features.hash) {
            return Some(Reason::NearDouble);
        }
        self.compare(features, place);
        None
    }

    /// Notes a pair whose texts an earlier one has with another score.
    fn compare(&mut self, features: &Features, place: &Location) {
        let Some(score) = features.score else { return };
        match self.scores.entry(features.hash) {
            Entry::Vacant(entry) => {
                entry.insert((score, place.clone()));
            }
            Entry::Occupied(entry) => {
                let (before, first) = entry.get();
                if *before != score {
                    self.contradictions.note(|| format!("{place} has {score}, {first} has {before}"));
                }
            }
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
