//! Finds near-duplicates among millions of texts.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::min_hash::{BINS, MinHash};

/// The lowest probability with which a text at the threshold must be found.
const FOUND: f64 = 0.99;
/// At most this many texts are kept for one value of a band. Otherwise a template that a whole collection shares would
/// make each new text be compared with all others.
const MOST_IN_BUCKET: usize = 64;

/// The texts so far, in about 300 bytes each, which can be searched for near-duplicates.
///
/// Locality-sensitive hashing with bands: the 128 bytes of a [`MinHash`] are cut into `b` bands of `r` bytes, and
/// texts that share a band are compared. Two texts of similarity `s` share one with probability `1 - (1 - s^r)^b`
/// (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4.2). `r` is the largest for which that is at least
/// 0.99 at the threshold: 6 at 0.8, and 10 at 0.9.
#[derive(Debug)]
pub struct NearDuplicates {
    threshold: f64,
    most: usize,
    rows: usize,
    texts: Vec<(u64, MinHash)>,
    /// A table for each band, of indices in `texts`.
    bands: Vec<HashTable<u32>>,
}

impl NearDuplicates {
    /// No texts yet; `threshold` is the Jaccard similarity, from 0.5 to 1, from which two texts are near-duplicates.
    ///
    /// At most `most` texts are remembered; later ones are compared with these only.
    pub fn new(threshold: f64, most: usize) -> Self {
        let threshold = threshold.clamp(0.5, 1.0);
        let rows = (1..=BINS).take_while(|rows| probability(threshold, *rows) >= FOUND).last().unwrap_or(1);
        let bands = vec![HashTable::new(); BINS / rows];
        Self { threshold, most: most.min(u32::MAX as usize), rows, texts: Vec::new(), bands }
    }

    /// The ordinal of the earliest near-duplicate of `text`; if there is none, `text` is remembered under `ordinal`.
    ///
    /// A text without words has no near-duplicates and is not remembered.
    pub fn insert(&mut self, ordinal: u64, text: &str) -> Option<u64> {
        MinHash::of(text).and_then(|signature| self.insert_signature(ordinal, &signature))
    }

    /// The same as [`insert`](Self::insert), for a signature, which may have been computed on another thread.
    pub fn insert_signature(&mut self, ordinal: u64, signature: &MinHash) -> Option<u64> {
        let found = self.find(signature);
        if found.is_none() {
            self.add(ordinal, signature);
        }
        found
    }

    /// Remembers a text under `ordinal`, near-duplicate or not, unless the maximum number is already remembered.
    pub fn add(&mut self, ordinal: u64, signature: &MinHash) {
        if self.is_full() {
            return;
        }
        let index = self.texts.len() as u32;
        self.texts.push((ordinal, *signature));
        let texts = &self.texts;
        for (table, start) in self.bands.iter_mut().zip((0..).step_by(self.rows)) {
            let band = |index: &u32| &texts[*index as usize].1.0[start..start + self.rows];
            let hash = xxh3_64(band(&index));
            if table.iter_hash(hash).filter(|other| band(other) == band(&index)).count() < MOST_IN_BUCKET {
                table.insert_unique(hash, index, |other| xxh3_64(band(other)));
            }
        }
    }

    /// The ordinal of the earliest near-duplicate.
    pub fn find(&self, signature: &MinHash) -> Option<u64> {
        self.matches(signature).min().map(|index| self.texts[index as usize].0)
    }

    /// The ordinals of all near-duplicates, each at least once.
    pub fn find_all(&self, signature: &MinHash) -> impl Iterator<Item = u64> {
        self.matches(signature).map(|index| self.texts[index as usize].0)
    }

    /// Indices in `texts` of the near-duplicates, possibly repeated.
    fn matches(&self, signature: &MinHash) -> impl Iterator<Item = u32> {
        let starts = (0..).step_by(self.rows);
        let candidates = self.bands.iter().zip(starts).flat_map(move |(table, start)| {
            let band = &signature.0[start..start + self.rows];
            let is_of_band = move |index: &&u32| &self.texts[**index as usize].1.0[start..start + self.rows] == band;
            table.iter_hash(xxh3_64(band)).filter(is_of_band).take(MOST_IN_BUCKET)
        });
        candidates.copied().filter(move |index| self.texts[*index as usize].1.jaccard(signature) >= self.threshold)
    }

    /// Whether the maximum number of texts is remembered.
    pub fn is_full(&self) -> bool {
        self.texts.len() >= self.most
    }
}

/// The probability that two texts of this similarity share a band of `rows` bytes.
fn probability(similarity: f64, rows: usize) -> f64 {
    1.0 - (1.0 - similarity.powi(rows as i32)).powi((BINS / rows) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_from_the_threshold() {
        assert_eq!([0.5, 0.8, 0.9, 1.0].map(|threshold| NearDuplicates::new(threshold, 1).rows), [3, 6, 10, 128]);
    }

    #[test]
    fn all_near_duplicates_are_found() {
        let mut seen = NearDuplicates::new(0.8, 3);
        let text = "The tenant pays the rent on the first day of each month";
        let texts =
            [text, "the tenant pays the rent on the first day of each month!", "The landlord repairs the roof."];
        for (ordinal, text) in (1..).zip(texts) {
            seen.add(ordinal, &MinHash::of(text).unwrap());
        }
        seen.add(4, &MinHash::of(text).unwrap());
        let mut found: Vec<u64> = seen.find_all(&MinHash::of(text).unwrap()).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, [1, 2], "the fourth is beyond the most");
    }

    #[test]
    fn a_shared_template_stays_cheap() {
        let mut seen = NearDuplicates::new(0.8, 100_000);
        for n in 0..200_u8 {
            let bytes = std::array::from_fn(|byte| if byte < seen.rows { 0 } else { n });
            assert_eq!(seen.insert_signature(n.into(), &MinHash(bytes)), None);
        }
        assert_eq!([seen.bands[0].len(), seen.bands[1].len()], [MOST_IN_BUCKET, 200]);
    }
}
