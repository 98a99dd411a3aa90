//! A normal form for texts that differ only in ways that a reader would not notice, and blank texts.

use unicode_normalization::UnicodeNormalization as _;
use xxhash_rust::xxh3::xxh3_128;

/// Punctuation at the ends of a word, which is not part of it. `#`, `+`, `%` and the like are part of it: C++ is not C.
const MARKS: &str = ".,;:!?…\"'`´‘’‚“”„«»‹›()[]{}<>¿¡*_-–—。，、；：！？「」『』（）【】《》";

/// The text in compatibility form (NFKC), in lower case, with single spaces and without punctuation around its words.
///
/// A text of punctuation only becomes empty.
pub fn normalised(text: &str) -> String {
    // Composed after the change of case, because some capitals become two characters in lower case.
    let fold = || text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let folded: String = if text.is_ascii() { text.to_ascii_lowercase() } else { fold() };
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

/// A hash of the normal form. Two texts with different normal forms have the same hash with a probability of 2^-128.
pub fn text_hash(text: &str) -> u128 {
    xxh3_128(normalised(text).as_bytes())
}

/// Whether a text has no visible character: it is empty, or has only white space, control characters and characters
/// that are ignored by default (zero-width spaces and joiners, direction marks, variation selectors, fillers).
pub fn is_blank(text: &str) -> bool {
    !text.chars().any(is_visible)
}

/// Whether a character is visible: not `White_Space`, `Cc` or `Default_Ignorable_Code_Point` (Unicode 16).
fn is_visible(character: char) -> bool {
    let is_ignorable = matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    !(character.is_whitespace() || character.is_control() || is_ignorable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_differences_are_removed() {
        assert_eq!(normalised("  \u{201e}What\u{201c} is\n the \u{fb01}le (v2.1)?"), "what is the file v2.1");
        assert_eq!(normalised("Ａ　ｌｅａｓｅ。"), "a lease");
        assert_eq!(normalised("什么是租约？"), "什么是租约");
        assert_eq!(normalised("e\u{301}tat"), "état");
        for nothing in ["", " \n", "... -- ?"] {
            assert_eq!(normalised(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn names_stay_different() {
        let mut hashes = ["C", "C++", "C#", "E0308", "E0309", "§ 3", "3%"].map(text_hash).to_vec();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 7);
    }

    #[test]
    fn invisible_characters_are_blank() {
        for blank in
            ["", " \t\n", "\u{a0}\u{3000}", "\u{200b}\u{200d}\u{feff}", "\u{ad}\u{2060} \0", "\u{fe0f}\u{3164}"]
        {
            assert!(is_blank(blank), "{blank:?}");
        }
        for text in ["a", "\u{200b}a", ".", "\u{301}", "\u{1f600}", "\u{2800}"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
