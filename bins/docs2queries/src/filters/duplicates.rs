//! Queries that were kept before.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use embtune_text::{MinHash, NearDuplicates, Shingles, normalised, text_hash};

/// Two queries of one document that share so many of their pieces say the same.
const OF_ONE_DOCUMENT: f64 = 0.8;
/// Queries of different documents may well differ in a name only.
const OF_ALL: f64 = 0.9;
/// Queries that are remembered: 300 bytes each.
const MOST: usize = 1_000_000;

/// The queries that were kept.
#[derive(Debug)]
pub(super) struct Duplicates {
    exact: HashSet<u128>,
    near: NearDuplicates,
    /// Of each query in `near`: what its words with digits are.
    codes: Vec<u64>,
    document: String,
    of_document: Vec<(Shingles, u64)>,
}

impl Duplicates {
    pub(super) fn new() -> Self {
        Self {
            exact: HashSet::new(),
            near: NearDuplicates::new(OF_ALL, MOST),
            codes: Vec::new(),
            document: String::new(),
            of_document: Vec::new(),
        }
    }

    /// Whether a query of a document is a duplicate; if it is not, it is remembered.
    ///
    /// Queries whose words with digits differ are none, however alike they are: claim 12 is not claim 13.
    pub(super) fn has(&mut self, query: &str, document: &str) -> bool {
        if self.document != document {
            document.clone_into(&mut self.document);
            self.of_document.clear();
        }
        let hash = text_hash(query);
        let codes = codes(query);
        let shingles = Shingles::of(query);
        let is_near =
            |(other, its_codes): &(Shingles, u64)| *its_codes == codes && shingles.jaccard(other) >= OF_ONE_DOCUMENT;
        if self.exact.contains(&hash) || self.of_document.iter().any(is_near) {
            return true;
        }
        if let Some(signature) = MinHash::of_shingles(&shingles) {
            let is_full = self.near.is_full();
            match self.near.insert_signature(self.codes.len() as u64, &signature) {
                Some(earlier) if self.codes[earlier as usize] == codes => return true,
                Some(_) => {}
                None if is_full => {}
                None => self.codes.push(codes),
            }
        }
        if self.exact.len() < MOST {
            self.exact.insert(hash);
        }
        self.of_document.push((shingles, codes));
        false
    }
}

/// A hash of the words that have a digit in them.
fn codes(query: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for word in normalised(query).split(' ').filter(|word| word.contains(char::is_numeric)) {
        word.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_and_nearly_the_same() {
        let mut seen = Duplicates::new();
        assert!(!seen.has("What is the notice period of the lease?", "a"));
        assert!(seen.has("what is  the notice period of the lease", "b"), "exact, of another document");
        assert!(seen.has("What is the notice period of the leases?", "a"), "near, of the same document");
        assert!(!seen.has("What is the notice period of the loan?", "a"));
        assert!(!seen.has("Who pays for the repair of the roof?", "a"));
    }

    #[test]
    fn documents_may_differ_in_a_name() {
        let mut seen = Duplicates::new();
        let query = |name: &str| format!("How long is the notice period in the supply agreement of {name}?");
        assert!(!seen.has(&query("Acme"), "a"));
        assert!(!seen.has(&query("Borealis"), "b"));
        let long = |end: &str| format!("{} {}", query("Acme and its affiliates in all of their countries"), end);
        assert!(!seen.has(&long("today"), "c"));
        assert!(seen.has(&long("todays"), "d"), "near, of another document");
    }

    #[test]
    fn numbers_tell_queries_apart() {
        let mut seen = Duplicates::new();
        let query = |number: u32| {
            format!("What does the apparatus of claim {number} do with the signal that it receives from the antenna?")
        };
        assert!((0..20).all(|number| !seen.has(&query(number), "a")));
        assert!((20..40).all(|number| !seen.has(&query(number), &number.to_string())));
        assert!(seen.has(&query(7), "z"));
    }

    #[test]
    fn a_full_memory_still_compares() {
        let mut seen = Duplicates { near: NearDuplicates::new(OF_ALL, 1), ..Duplicates::new() };
        let text = |first: &str| {
            let others =
                ["lease", "royalty", "notice", "arbitration", "warranty", "insurance", "termination", "assignment"];
            format!(
                "{first} of {} and of everything else",
                others.map(|word| format!("{word} by the {word}er")).join(", ")
            )
        };
        assert!(!seen.has(&text("duration"), "a"));
        assert!(!seen.has("another query about another thing altogether", "b"));
        assert!(seen.has(&text("durations"), "c"));
    }
}
