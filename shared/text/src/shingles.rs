//! A text as the set of its shingles.

use xxhash_rust::xxh3::xxh3_64;

use crate::normal::normalised;

/// Characters in a shingle: the length that Leskovec, Rajaraman and Ullman give for short texts (Mining of Massive
/// Datasets, 3.2.2). Characters and not words, so that it holds for queries, for typing errors, and for scripts that
/// put no spaces between words.
const LENGTH: usize = 5;

/// The hashes of the distinct shingles of a text's normal form, of five characters each, in ascending order; a shorter
/// text is one shingle, and a text without words has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles(Vec<u64>);

impl Shingles {
    /// The shingles of a text.
    pub fn of(text: &str) -> Self {
        let mut hashes = Vec::new();
        each_shingle(&normalised(text), |shingle| hashes.push(xxh3_64(shingle)));
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// The Jaccard similarity, from 0 to 1; 0 if there are no shingles.
    pub fn jaccard(&self, other: &Self) -> f64 {
        let common = self.common(other);
        share(common, self.0.len() + other.0.len() - common)
    }

    /// The share of these shingles that `other` has as well, from 0 to 1; 0 if there are none.
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

/// Calls a function with every shingle of a text in normal form, including repeated ones.
pub(crate) fn each_shingle(text: &str, mut take: impl FnMut(&[u8])) {
    let bytes = text.as_bytes();
    if bytes.is_ascii() && bytes.len() >= LENGTH {
        return bytes.windows(LENGTH).for_each(take);
    }
    let mut boundaries: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    boundaries.push(text.len());
    match boundaries.len() - 1 {
        0 => {}
        1..=LENGTH => take(bytes),
        _ => boundaries.windows(LENGTH + 1).for_each(|at| take(&bytes[at[0]..at[LENGTH]])),
    }
}

/// The Jaccard similarity of two texts: [`Shingles::jaccard`].
pub fn jaccard(a: &str, b: &str) -> f64 {
    Shingles::of(a).jaccard(&Shingles::of(b))
}

/// How much of `part` is contained in `whole`: [`Shingles::containment`].
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
    fn shingles_have_five_characters() {
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
