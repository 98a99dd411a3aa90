//! One form for texts that differ in nothing that a reader would call a difference.

use unicode_normalization::UnicodeNormalization as _;
use xxhash_rust::xxh3::xxh3_128;

/// Marks that hang on a word's ends and are no part of it. `#`, `+`, `%` and the like are: C++ is not C.
const MARKS: &str = ".,;:!?…\"'`´‘’‚“”„«»‹›()[]{}<>¿¡*_-–—。，、；：！？「」『』（）【】《》";

/// The text in compatibility form (NFKC), in lower case, with single spaces and without marks around its words.
///
/// A text that holds nothing else comes out empty.
pub fn normalised(text: &str) -> String {
    // Composed after lowering, because some capitals are lowered to two characters.
    let folded: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let mut normal = String::with_capacity(folded.len());
    for word in folded.split_whitespace() {
        let word = word.trim_matches(|c| MARKS.contains(c));
        if word.is_empty() {
            continue;
        }
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    normal
}

/// A hash that two texts share when, and but for one chance in 2^64 pairs only when, their normal form is the same.
pub fn text_hash(text: &str) -> u128 {
    xxh3_128(normalised(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_does_not_see_is_gone() {
        assert_eq!(normalised("  \u{201e}What\u{201c} is\n the \u{fb01}le (v2.1)?"), "what is the file v2.1");
        assert_eq!(normalised("Ａ　ｌｅａｓｅ。"), "a lease");
        assert_eq!(normalised("什么是租约？"), "什么是租约");
        assert_eq!(normalised("e\u{301}tat"), "état");
        for nothing in ["", " \n", "... -- ?"] {
            assert_eq!(normalised(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn names_stay_apart() {
        let mut hashes = ["C", "C++", "C#", "E0308", "E0309", "§ 3", "3%"].map(text_hash).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 7);
    }
}
