//! Queries that are phrases of the document.

use embtune_text::{Shingles, normalised};
use unicode_segmentation::UnicodeSegmentation as _;

/// Shorter ones are terms, which a searcher and a document rightly have in common.
const MIN_WORDS: usize = 7;
/// The share of a query's pieces that stand in the document from which on it is a copy; a word or two may be other.
const SHARE: f64 = 0.9;

/// Whether a query is a long phrase of the text, word for word or nearly so.
pub(super) fn is_copied(query: &str, text: &str) -> bool {
    if normalised(query).unicode_words().count() < MIN_WORDS {
        return false;
    }
    Shingles::of(query).containment(&Shingles::of(text)) >= SHARE
}

#[cfg(test)]
mod tests {
    use super::is_copied;

    #[test]
    fn long_phrases_are_copies_and_terms_are_none() {
        let text = "Section 4. The tenant shall pay the rent on the first day of each month, without any deduction.";
        for copy in [
            "The tenant shall pay the rent on the first day of each month.",
            "tenant shall pay the rent on the first day of each month without deduction",
        ] {
            assert!(is_copied(copy, text), "{copy}");
        }
        for own in [
            "first day of each month",
            "When does a tenant have to pay the rent, and may he keep anything back?",
            "rent due date tenant first month deduction allowed or not",
        ] {
            assert!(!is_copied(own, text), "{own}");
        }
    }
}
