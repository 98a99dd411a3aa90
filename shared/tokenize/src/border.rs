//! Where a text can be divided without a change of its tokens.

/// First place, `from` bytes into the text or later, where the text before it has the tokens that it has in the whole
/// text, and likewise the text behind it.
///
/// That is before a blank between two letters or digits: tokenizers divide words there before anything else, and a
/// blank is a part of the word behind it, if of any.
pub(crate) fn border(text: &str, from: usize) -> Option<usize> {
    let from = text.ceil_char_boundary(from);
    let blanks = text[from..].match_indices(' ').map(|(at, _)| from + at);
    let word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    blanks.filter(|at| *at > 0).find(|at| word(text[..*at].chars().next_back()) && word(text[at + 1..].chars().next()))
}

/// Bytes of a piece of a long text.
const PIECE: usize = 64 << 10;
/// A piece of this many bytes ends also where there is no [`border`]: in a text without blanks, once in so many bytes,
/// a token may be divided.
const LONGEST_PIECE: usize = 4 * PIECE;

/// End of the piece of a long text that begins at `start`.
pub(crate) fn piece_end(text: &str, start: usize) -> usize {
    let rest = &text[start..];
    let hard = rest.floor_char_boundary(LONGEST_PIECE);
    start + border(&rest[..hard], PIECE).unwrap_or(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_are_blanks_between_words() {
        let text = "aa, bb cc\u{301} dd  ee ff";
        let borders: Vec<&str> = (0..text.len()).filter_map(|from| Some(&text[border(text, from)?..])).collect();
        assert_eq!(borders.first(), Some(&" cc\u{301} dd  ee ff"));
        assert_eq!(borders.last(), Some(&" ff"));
        assert_eq!(border(text, 100), None);
        assert_eq!(border("\u{96e8}\u{96e8} a", 1), Some(6), "in the midst of a character");
    }

    #[test]
    fn pieces_have_an_end() {
        let words = "word ".repeat(LONGEST_PIECE);
        let end = piece_end(&words, 0);
        assert!((PIECE..PIECE + 10).contains(&end) && words[end..].starts_with(" word"));
        let solid = "\u{96e8}".repeat(LONGEST_PIECE);
        let end = piece_end(&solid, 0);
        assert!(end <= LONGEST_PIECE && end > LONGEST_PIECE - 3);
        assert_eq!(piece_end("short text", 0), 10);
    }
}
