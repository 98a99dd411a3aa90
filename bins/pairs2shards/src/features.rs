//! Features of a pair for cleaning and splitting, which depend on its texts alone and so are computed in parallel.

use embtune_records::Pair;
use embtune_text::{Language, MinHash, detect_language, is_blank, text_hash};
use xxhash_rust::xxh3::xxh3_64;

/// Shorter texts have fewer than 40 shingles, for which an estimated similarity is off by more than 0.06 (its standard
/// deviation at 0.8).
const SHORTEST_BYTES: usize = 44;

/// Detecting a language takes as long as tokenising, so it is done for a sample: the first pairs of the input, and one
/// of every `SAMPLE_STEP` after them.
const SAMPLE_FIRST: u64 = 1024;
const SAMPLE_STEP: u64 = 32;
/// Bytes of a text that are enough to detect its language.
const LANGUAGE_BYTES: usize = 300;

/// The features by which a text is compared: a hash for equal texts, and a signature for near-duplicates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Hash of the normal form.
    pub(crate) hash: u64,
    /// `None` when the text has no words, or when only the hash is needed.
    pub(crate) signature: Option<MinHash>,
}

impl Fingerprint {
    /// The fingerprint of a text. The signature of a short text matches only equal texts.
    pub(crate) fn of(text: &str) -> Self {
        let signature = if text.len() < SHORTEST_BYTES { MinHash::of_whole(text) } else { MinHash::of(text) };
        Self { signature, ..Self::hash_of(text) }
    }

    /// The hash alone.
    fn hash_of(text: &str) -> Self {
        Self { hash: text_hash(text) as u64, signature: None }
    }
}

/// The features of a pair.
#[derive(Default)]
pub(crate) struct Features {
    pub(crate) is_blank: bool,
    /// Hash of anchor and positive.
    pub(crate) texts: u64,
    /// Hash of the texts and of what else can be learnt from the pair, its negatives and the positive's score; `None`
    /// where it has neither.
    pub(crate) content: Option<u64>,
    pub(crate) score: Option<f32>,
    pub(crate) anchor: Fingerprint,
    pub(crate) positive: Fingerprint,
    /// Hashes of the negatives, where a part of the pairs is held out.
    pub(crate) negatives: Vec<Fingerprint>,
    /// Signature of the pair as a whole.
    pub(crate) signature: Option<MinHash>,
    /// Languages of anchor and positive, if the pair belongs to the sample.
    pub(crate) languages: Option<[Option<Language>; 2]>,
}

impl Features {
    /// The features of a pair at this position in the input.
    pub(crate) fn of(pair: &Pair, position: u64, is_split: bool) -> Self {
        let is_sampled = position < SAMPLE_FIRST || position.is_multiple_of(SAMPLE_STEP);
        let [anchor, positive] = [&pair.anchor, &pair.positive].map(|text| Fingerprint::of(text));
        let negatives = pair.negatives.iter().filter(|_| is_split);
        let texts = xxh3_64(format!("{}\0{}", pair.anchor, pair.positive).as_bytes());
        let score = pair.scores.as_ref().and_then(|scores| scores.first()).map(|score| *score as f32);
        Self {
            is_blank: is_blank(&pair.anchor) || is_blank(&pair.positive),
            texts,
            content: content(texts, pair),
            score,
            negatives: negatives.map(|text| Fingerprint::hash_of(text)).collect(),
            signature: anchor.signature.zip(positive.signature).map(|(anchor, positive)| {
                let texts = anchor.joined(&positive);
                document(pair, score).map_or(texts, |document| texts.joined(&document))
            }),
            anchor,
            positive,
            languages: is_sampled.then(|| [&pair.anchor, &pair.positive].map(|text| detect_language(head(text)))),
        }
    }
}

/// Hash of what can be learnt from a pair besides that its positive is an answer.
fn content(texts: u64, pair: &Pair) -> Option<u64> {
    let score = |document: usize| pair.scores.as_ref().map_or(u64::MAX, |scores| scores[document].to_bits());
    let hash = |numbers: [u64; 2]| xxh3_64(&numbers.map(u64::to_le_bytes).concat());
    // The order of negatives does not matter.
    let negatives =
        (1..).zip(&pair.negatives).map(|(document, text)| hash([xxh3_64(text.as_bytes()), score(document)]));
    let negatives = negatives.fold(0, u64::wrapping_add);
    (pair.scores.is_some() || !pair.negatives.is_empty()).then(|| hash([hash([texts, score(0)]), negatives]))
}

/// Near-duplicate pairs must have this in common besides their texts. The descriptions of two products may be alike
/// because they come from one template, and two equal pairs may have different labels.
fn document(pair: &Pair, score: Option<f32>) -> Option<MinHash> {
    let id = pair.positive_id.as_deref().or(pair.group.as_deref());
    let label = score.filter(|_| pair.negatives.is_empty());
    (id.is_some() || label.is_some()).then(|| {
        let label = label.map_or(u64::MAX, |label| u64::from(label.to_bits())).to_le_bytes();
        MinHash::of_bytes(&[&label, id.unwrap_or_default().as_bytes()].concat())
    })
}

/// The beginning of a text, from which its language is detected.
fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LANGUAGE_BYTES)]
}
