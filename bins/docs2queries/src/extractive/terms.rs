//! The rarity of terms in the corpus.

use std::collections::{BTreeSet, HashMap};

use unicode_segmentation::UnicodeSegmentation as _;
use xxhash_rust::xxh3::xxh3_64;

/// The length of the shortest term: "of" is too short, a single Chinese character is not.
const MIN_TERM_BYTES: usize = 3;
/// A term is common if more than one document in this many has it.
const COMMON_ONE_IN: u32 = 10;
/// In a smaller corpus no term is common, because every term that two documents share would be.
const ENOUGH_DOCUMENTS: u32 = 20;

/// The number of documents that have each term.
#[derive(Debug, Default)]
pub(super) struct Terms {
    documents: u32,
    // By the term's hash, because the terms themselves would take several times the memory.
    counts: HashMap<u64, u32>,
}

impl Terms {
    /// Counts the terms of one more document.
    pub(super) fn add<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        self.documents += 1;
        count_distinct(texts.flat_map(terms).map(key), &mut self.counts);
    }

    /// The inverse document frequency: 0 for a term of every document, more for a rarer one.
    fn idf(&self, term: &str) -> f64 {
        ((1.0 + f64::from(self.documents)) / (1.0 + f64::from(self.count(term)))).ln()
    }

    fn count(&self, term: &str) -> u32 {
        self.counts.get(&key(term)).copied().unwrap_or_default()
    }

    fn is_common(&self, term: &str) -> bool {
        self.documents >= ENOUGH_DOCUMENTS && self.count(term) > self.documents / COMMON_ONE_IN
    }

    /// The mean inverse document frequency of a text's terms; 0 for a text without terms.
    pub(super) fn mean_idf(&self, text: &str) -> f64 {
        let (sum, count) = terms(text).fold((0.0, 0.0), |(sum, count), term| (sum + self.idf(term), count + 1.0));
        if count == 0.0 { 0.0 } else { sum / count }
    }

    /// At most `max_terms` terms that distinguish these texts from the rest of the corpus, each spelt as it first
    /// occurs, in the order of the texts.
    ///
    /// The weight of a term grows with its rarity and, logarithmically, with the number of times that the texts use it,
    /// so that a single typing error does not outweigh the subject.
    pub(super) fn rarest<'a>(&self, texts: impl Iterator<Item = &'a str>, max_terms: usize) -> Vec<&'a str> {
        let mut found: Vec<(&str, u32)> = Vec::new();
        let mut places: HashMap<u64, usize> = HashMap::new();
        for term in texts.flat_map(terms).filter(|term| !self.is_common(term)) {
            let place = *places.entry(key(term)).or_insert_with(|| {
                found.push((term, 0));
                found.len() - 1
            });
            found[place].1 += 1;
        }
        let mut weighed: Vec<(f64, usize)> = found
            .iter()
            .enumerate()
            .map(|(place, (term, times))| (self.idf(term) * (1.0 + f64::from(*times).ln()), place))
            .collect();
        // In a small corpus many terms are equally rare; of these, the longer one says more.
        weighed.sort_by(|(a, at), (b, bt)| {
            b.total_cmp(a).then_with(|| found[*bt].0.len().cmp(&found[*at].0.len())).then_with(|| at.cmp(bt))
        });
        let mut chosen: Vec<usize> = weighed.into_iter().take(max_terms).map(|(_, place)| place).collect();
        chosen.sort_unstable();
        chosen.into_iter().map(|place| found[place].0).collect()
    }
}

/// The words of a text that could be searched for, without numbers and particles.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    text.unicode_words().filter(|word| word.len() >= MIN_TERM_BYTES && word.chars().any(char::is_alphabetic))
}

/// Counts each of the hashes once.
pub(super) fn count_distinct(hashes: impl Iterator<Item = u64>, counts: &mut HashMap<u64, u32>) {
    for hash in hashes.collect::<BTreeSet<u64>>() {
        *counts.entry(hash).or_default() += 1;
    }
}

fn key(term: &str) -> u64 {
    xxh3_64(term.to_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus() -> Terms {
        let mut terms = Terms::default();
        for text in ["the lease of the land", "the lease of the well", "the royalty, the Royalty on gas"] {
            terms.add(std::iter::once(text));
        }
        terms
    }

    #[test]
    fn rarity_counts_documents() {
        let terms = corpus();
        assert_eq!(terms.idf("the"), 0.0);
        assert_eq!(terms.idf("LEASE"), (4.0_f64 / 3.0).ln());
        assert_eq!(terms.idf("royalty"), 2.0_f64.ln());
        assert!(terms.mean_idf("the royalty") > terms.mean_idf("the lease"));
        assert_eq!(terms.mean_idf("12 of 34"), 0.0);
    }

    #[test]
    fn the_rarest_terms_keep_their_order() {
        let text = "the Gas lease: gas, royalty, the well of 12";
        assert_eq!(corpus().rarest(std::iter::once(text), 3), ["Gas", "royalty", "well"]);
    }

    #[test]
    fn common_terms_are_not_rare() {
        let mut terms = Terms::default();
        for n in 0..30 {
            terms.add(std::iter::once(format!("common rare{n}").as_str()));
        }
        assert_eq!(terms.rarest(std::iter::once("common rare7"), 3), ["rare7"]);
    }
}
