//! A text as the set of its short pieces.

use xxhash_rust::xxh3::xxh3_64;

use crate::normal::normalised;

/// Characters of a piece: the length that Leskovec, Rajaraman and Ullman give for short texts (Mining of Massive
/// Datasets, 3.2.2). Characters and not words, so that it holds for queries, for typing errors, and for scripts that
/// put no spaces between words.
const LENGTH: usize = 5;

/// The distinct pieces of a text's normal form, each of five characters, by hash, in ascending order; a shorter text is
/// one piece, and one without words none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles(Vec<u64>);

impl Shingles {
    /// The pieces of a text.
    pub fn of(text: &str) -> Self {
        let text = normalised(text);
        let mut borders: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        borders.push(text.len());
        let mut hashes: Vec<u64> = match borders.len() - 1 {
            0 => Vec::new(),
            1..=LENGTH => vec![xxh3_64(text.as_bytes())],
            _ => borders.windows(LENGTH + 1).map(|at| xxh3_64(&text.as_bytes()[at[0]..at[LENGTH]])).collect(),
        };
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The share of pieces that both have among those that either has, from 0 to 1; 0 when there are none.
    pub fn jaccard(&self, other: &Self) -> f64 {
        let common = self.common(other);
        share(common, self.0.len() + other.0.len() - common)
    }

    /// The share of these pieces that `other` has too, from 0 to 1; 0 when there are none.
    pub fn containment(&self, other: &Self) -> f64 {
        share(self.common(other), self.0.len())
    }

    pub(crate) fn hashes(&self) -> &[u64] {
        &self.0
    }

    fn common(&self, other: &Self) -> usize {
        let mut rest = other.0.as_slice();
        let mut common = 0;
        for hash in &self.0 {
            let at = rest.partition_point(|other| other < hash);
            rest = &rest[at..];
            common += usize::from(rest.first() == Some(hash));
        }
        common
    }
}

/// The Jaccard similarity of two texts: [`Shingles::jaccard`].
pub fn jaccard(a: &str, b: &str) -> f64 {
    Shingles::of(a).jaccard(&Shingles::of(b))
}

/// How much of `part` stands in `whole`: [`Shingles::containment`].
pub fn containment(part: &str, whole: &str) -> f64 {
    Shingles::of(part).containment(&Shingles::of(whole))
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_five_characters() {
        assert_eq!(Shingles::of("abcdefg").0.len(), 3);
        assert_eq!(Shingles::of("aaaaaaaaa").0.len(), 1);
        assert_eq!((Shingles::of("ab").0.len(), Shingles::of("?").0.len()), (1, 0));
        // abcde bcdef cdefg | bcdef cdefg defgh
        assert_eq!(jaccard("abcdefg", "bcdefgh"), 0.5);
        assert_eq!(containment("Bcdef!", "abcdefg"), 1.0);
        assert_eq!(containment("abcdefg", "bcdef"), 1.0 / 3.0);
        assert_eq!((jaccard("", ""), containment("", "abc")), (0.0, 0.0));
    }
}
