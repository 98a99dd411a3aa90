//! Queries that repeat one that was kept.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use embtune_text::{MinHash, NearDuplicates, Shingles, normalised, text_hash};

/// From this Jaccard similarity on, two queries of one document are duplicates.
const MIN_SIMILARITY_WITHIN: f64 = 0.8;
/// The same for queries of different documents, which may differ only in a name and yet be two queries.
const MIN_SIMILARITY_ACROSS: f64 = 0.9;
/// The most queries that are remembered, at 300 bytes each.
const MAX_QUERIES: usize = 1_000_000;

/// The queries that were kept.
#[derive(Debug)]
pub(super) struct Duplicates {
    exact: HashSet<u128>,
    near: NearDuplicates,
    /// For each query in `near`, the hash of its words with digits.
    codes: Vec<u64>,
    /// The id of the current document.
    document: String,
    /// The queries of the current document.
    document_queries: Vec<(Shingles, u64)>,
}

impl Duplicates {
    pub(super) fn new() -> Self {
        Self {
            exact: HashSet::new(),
            near: NearDuplicates::new(MIN_SIMILARITY_ACROSS, MAX_QUERIES),
            codes: Vec::new(),
            document: String::new(),
            document_queries: Vec::new(),
        }
    }

    /// Whether a query of a document is a duplicate; if it is not, it is remembered.
    ///
    /// Queries whose words with digits differ are not duplicates, however similar they are: claim 12 is not claim 13.
    pub(super) fn check(&mut self, query: &str, document: &str) -> bool {
        if self.document != document {
            document.clone_into(&mut self.document);
            self.document_queries.clear();
        }
        let hash = text_hash(query);
        let codes = codes(query);
        let shingles = Shingles::of(query);
        let is_near = |(other, its_codes): &(Shingles, u64)| {
            *its_codes == codes && shingles.jaccard(other) >= MIN_SIMILARITY_WITHIN
        };
        if self.exact.contains(&hash) || self.document_queries.iter().any(is_near) {
            return true;
        }
        if let Some(signature) = MinHash::of_shingles(&shingles) {
            let is_full = self.near.is_full();
            match self.near.insert_signature(self.codes.len() as u64, &signature) {
                Some(earlier) if self.codes[earlier as usize] == codes => return true,
                None if !is_full => self.codes.push(codes),
                _ => {}
            }
        }
        if self.exact.len() < MAX_QUERIES {
            self.exact.insert(hash);
        }
        self.document_queries.push((shingles, codes));
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
    fn exact_and_near_duplicates() {
        let mut seen = Duplicates::new();
        assert!(!seen.check("What is the notice period of the lease?", "a"));
        assert!(seen.check("what is  the notice period of the lease", "b"), "exact, of another document");
        assert!(seen.check("What is the notice period of the leases?", "a"), "near, of the same document");
        assert!(!seen.check("What is the notice period of the loan?", "a"));
        assert!(!seen.check("Who pays for the repair of the roof?", "a"));
    }

    #[test]
    fn queries_of_two_documents_may_differ_in_a_name() {
        let mut seen = Duplicates::new();
        let query = |name: &str| format!("How long is the notice period in the supply agreement of {name}?");
        assert!(!seen.check(&query("Acme"), "a"));
        assert!(!seen.check(&query("Borealis"), "b"));
        let long = |end: &str| format!("{} {}", query("Acme and its affiliates in all of their countries"), end);
        assert!(!seen.check(&long("today"), "c"));
        assert!(seen.check(&long("todays"), "d"), "near, of another document");
    }

    #[test]
    fn queries_with_different_numbers_are_different() {
        let mut seen = Duplicates::new();
        let query = |number: u32| {
            format!("What does the apparatus of claim {number} do with the signal that it receives from the antenna?")
        };
        assert!((0..20).all(|number| !seen.check(&query(number), "a")));
        assert!((20..40).all(|number| !seen.check(&query(number), &number.to_string())));
        assert!(seen.check(&query(7), "z"));
    }

    #[test]
    fn a_full_memory_still_finds_duplicates() {
        let mut seen = Duplicates { near: NearDuplicates::new(MIN_SIMILARITY_ACROSS, 1), ..Duplicates::new() };
        let text = |first: &str| {
            let others =
                ["lease", "royalty", "notice", "arbitration", "warranty", "insurance", "termination", "assignment"];
            format!(
                "{first} of {} and of everything else",
                others.map(|word| format!("{word} by the {word}er")).join(", ")
            )
        };
        assert!(!seen.check(&text("duration"), "a"));
        assert!(!seen.check("another query about another thing altogether", "b"));
        assert!(seen.check(&text("durations"), "c"));
    }
}
