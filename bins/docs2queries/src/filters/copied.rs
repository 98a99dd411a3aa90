//! Queries that are copied from the document.

use embtune_text::{Shingles, normalised};
use unicode_segmentation::UnicodeSegmentation as _;

/// A shorter phrase is a term, which a query and a document may well have in common.
const MIN_WORDS: usize = 7;
/// A query is a copy if this share of its shingles is in the document; a word or two may differ.
const MIN_SHARE: f64 = 0.9;

/// Whether a query is a long phrase of the text, word for word or nearly.
pub(super) fn is_copied(query: &str, text: &str) -> bool {
    if normalised(query).unicode_words().count() < MIN_WORDS {
        return false;
    }
    Shingles::of(query).containment(&Shingles::of(text)) >= MIN_SHARE
}

#[cfg(test)]
mod tests {
    use super::is_copied;

    #[test]
    fn long_phrases_are_copies_and_terms_are_not() {
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
