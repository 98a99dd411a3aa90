//! Where a text can be divided without a change of its tokens.

/// First place, `from` bytes into the text or later, where the text before it has the tokens that it has in the whole
/// text, and likewise the text after it.
///
/// That is before a blank between two letters or digits: tokenizers divide words there before anything else, and a
/// blank is a part of the word after it, if of any.
pub(crate) fn border(text: &str, from: usize) -> Option<usize> {
    let from = text.ceil_char_boundary(from);
    let blanks = text[from..].match_indices(' ').map(|(at, _)| from + at);
    let word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    blanks.filter(|at| *at > 0).find(|at| word(text[..*at].chars().next_back()) && word(text[at + 1..].chars().next()))
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
}
