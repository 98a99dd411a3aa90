//! MinHash signatures: the similarity of two texts is estimated from 128 bytes of each.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::Shingles;
use crate::normal::normalised;
use crate::shingles::each_shingle;

/// Number of bins, which take the place of hash functions.
pub(crate) const BINS: usize = 128;
const BIN_BITS: u32 = BINS.trailing_zeros();
/// How often two bytes of different texts are equal by chance.
const BY_CHANCE: f64 = 1.0 / 256.0;

/// A text's MinHash signature.
///
/// MinHash (Broder, On the resemblance and containment of documents, 1997): the smallest hash of two sets is the same
/// with the probability of their Jaccard similarity. All 128 smallest hashes come from one pass over the shingles,
/// one for each bin, and an empty bin borrows from a full one (Shrivastava, Optimal Densification for Fast and Accurate
/// Minwise Hashing, 2017); one byte of each is kept (Li and König, b-Bit Minwise Hashing, 2010).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinHash(pub(crate) [u8; BINS]);

impl MinHash {
    /// The signature of a text; `None` if it has no words.
    pub fn of(text: &str) -> Option<Self> {
        // Duplicates do not change a minimum.
        let mut hashes = Vec::new();
        each_shingle(&normalised(text), |shingle| hashes.push(xxh3_64(shingle)));
        Self::of_hashes(hashes.into_iter())
    }

    /// A signature that matches only texts with the same normal form; `None` if the text has no words.
    ///
    /// For short texts, which have few shingles, so that the estimate from [`of`](Self::of) is rough.
    pub fn of_whole(text: &str) -> Option<Self> {
        let text = normalised(text);
        (!text.is_empty()).then(|| Self::of_bytes(text.as_bytes()))
    }

    /// A signature that matches only the same bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(std::array::from_fn(|bin| xxh3_64_with_seed(bytes, bin as u64) as u8))
    }

    /// The signature of a text's shingles; `None` if there are none.
    pub fn of_shingles(shingles: &Shingles) -> Option<Self> {
        Self::of_hashes(shingles.hashes().iter().copied())
    }

    /// The signature of two texts as a pair. The similarity of two pairs is the product of the similarities of their
    /// first and of their second texts, so that pairs are near-duplicates only if both are.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        // Any odd factor will do: if one of the bytes stays the same, a different other byte gives a different sum.
        Self(std::array::from_fn(|bin| self.0[bin].wrapping_add(other.0[bin].wrapping_mul(167))))
    }

    fn of_hashes(hashes: impl Iterator<Item = u64>) -> Option<Self> {
        let mut smallest = [u64::MAX; BINS];
        for hash in hashes {
            let bin = &mut smallest[(hash >> (u64::BITS - BIN_BITS)) as usize];
            *bin = (*bin).min(hash);
        }
        let is_full = smallest.map(|hash| hash < u64::MAX);
        is_full.contains(&true).then(|| {
            // The low bits, because the high bits are those by which it is the smallest.
            Self(std::array::from_fn(|bin| smallest[full_bin(bin, &is_full)] as u8))
        })
    }

    /// The bytes, to store them.
    pub fn to_bytes(&self) -> [u8; BINS] {
        self.0
    }

    /// The signature with these bytes.
    pub fn from_bytes(bytes: [u8; BINS]) -> Self {
        Self(bytes)
    }

    /// An estimate of the texts' Jaccard similarity, from 0 to 1; its standard deviation is 0.04 at 0.8.
    pub fn jaccard(&self, other: &Self) -> f64 {
        let same = self.0.iter().zip(&other.0).filter(|(a, b)| a == b).count() as f64 / BINS as f64;
        ((same - BY_CHANCE) / (1.0 - BY_CHANCE)).max(0.0)
    }
}

/// The bin itself if it is full, else the first full bin in a pseudorandom order that depends on the bin.
fn full_bin(bin: usize, is_full: &[bool; BINS]) -> usize {
    if is_full[bin] {
        return bin;
    }
    let order = (0_u64..)
        .map(|attempt| (xxh3_64_with_seed(&attempt.to_le_bytes(), bin as u64) >> (u64::BITS - BIN_BITS)) as usize);
    order.into_iter().find(|other| is_full[*other]).unwrap_or(bin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_and_its_shingles_have_the_same_signature() {
        for text in ["", "ab", "The tenant pays the rent.", "Der Mieter zahlt die Miete für März.", "aaaaaaaa"] {
            assert_eq!(MinHash::of(text), MinHash::of_shingles(&Shingles::of(text)), "{text}");
        }
    }

    #[test]
    fn a_whole_text_matches_only_itself() {
        let [a, same, other] =
            ["Question 52?", "question  52", "question 57"].map(|text| MinHash::of_whole(text).unwrap());
        assert_eq!((a.jaccard(&same), MinHash::of_whole(" ?")), (1.0, None));
        assert!(a.jaccard(&other) < 0.1);
    }

    #[test]
    fn joined_signatures_match_if_both_do() {
        let [a, b] =
            ["the tenant pays the rent", "the landlord repairs the roof"].map(|text| MinHash::of(text).unwrap());
        let near = MinHash::of("the tenant pays the rents").unwrap();
        assert_eq!(a.joined(&b).jaccard(&a.joined(&b)), 1.0);
        assert!(a.joined(&b).jaccard(&b.joined(&a)) < 0.1, "the order counts");
        assert!(a.joined(&b).jaccard(&a.joined(&a)) < 0.2);
        let (one, both) = (a.joined(&b).jaccard(&near.joined(&b)), a.joined(&a).jaccard(&near.joined(&near)));
        assert!((one - a.jaccard(&near)).abs() < 0.02 && both <= one, "{one} {both}");
    }
}
